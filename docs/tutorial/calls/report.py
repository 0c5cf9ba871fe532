"""How many calls reach each site while it is open (09:00 to 17:00, local time)?"""

import csv
import json
from datetime import datetime
from pathlib import Path

import pytz

OPEN = range(9, 17)


def local_hour(call):
    moment = datetime.fromisoformat(call["utc"]).replace(tzinfo=pytz.utc)
    return moment.astimezone(pytz.timezone(call["site"])).hour


calls = list(csv.DictReader(open("data/calls.csv")))
answered = [call for call in calls if local_hour(call) in OPEN]

Path("out").mkdir(exist_ok=True)
with open("out/by_site.csv", "w", newline="") as file:
    table = csv.writer(file)
    table.writerow(["site", "calls", "answered"])
    for site in sorted({call["site"] for call in calls}):
        of_site = [call for call in calls if call["site"] == site]
        table.writerow([site, len(of_site), sum(call in answered for call in of_site)])

Path("out/metrics.json").write_text(
    json.dumps({"calls": len(calls), "answered_share": len(answered) / len(calls)})
)
