"""Lock pip, conda and apt by content, rebuild bit for bit, rerun offline, judge the numbers."""

__version__ = "0.1.0"
