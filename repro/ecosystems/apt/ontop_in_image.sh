# Install the locked packages in a base image: run there by root, without network.
#
# /run/repro holds the flat repository, apt's settings (APT_CONFIG) and the names; all that is
# below /run and /tmp is in no layer. The argument is the image's own interpreter, or empty.
# Exit statuses: 90 there is no apt-get, 91 the interpreter changed (the last line says how).

set -eu
exec 2>&1
umask 022
interpreter=$1
work=/tmp/repro
policy=/usr/sbin/policy-rc.d

command -v apt-get > /dev/null || exit 90
mkdir -p "$work/lists/partial" "$work/cache/archives/partial" "$work/log" "$work/home"

identity() {
    [ -n "$interpreter" ] || return 0
    file=$(readlink -f "$interpreter") && [ -x "$file" ] || { echo "it is gone"; return 0; }
    sum=$(sha256sum < "$file")
    echo "$file ${sum%% *} $("$interpreter" -V 2>&1)"
}
was=$(identity)

# No service is started: there is nobody to serve.
mine=
if [ ! -e "$policy" ] && [ ! -L "$policy" ]; then
    mine=$policy
    printf '#!/bin/sh\nexit 101\n' > "$policy"
    chmod 755 "$policy"
fi

touch "$work/stamp"
apt-get -q -eany update
xargs apt-get -y -q --no-remove install < /run/repro/packages
unfinished=$(dpkg --audit)
if [ -n "$unfinished" ]; then
    echo "$unfinished"
    exit 1
fi
[ -z "$mine" ] || rm "$mine"

# Byte code that is the same from every build, and valid where each source's mtime is the layer's
# constant: Python 3 is told not to look at the source (PEP 552), Python 2 compares the mtime.
compiled=$(find / -xdev -type f -name '*.py[co]' -cnewer "$work/stamp" | LC_ALL=C sort)
printf '%s\n' "$compiled" | while IFS= read -r file; do
    [ -z "$file" ] || rm "$file"
done
for python in /usr/bin/python[23].[0-9]*; do
    case $python in
    *-config | *'[23]'*) continue ;;
    /usr/bin/python2.*)
        printf '%s\n' "$compiled" | sed -n '\#/__pycache__/#d; s#\.py[co]$#.py#p' ;;
    *)
        tag=cpython-$(echo "${python##*/python}" | tr -d .)
        printf '%s\n' "$compiled" |
            sed -nE "s#/__pycache__/([^/]*)\.$tag(\.opt-[12])?\.pyc\$#/\1.py#p" ;;
    esac | LC_ALL=C sort -u > "$work/sources"
    [ -s "$work/sources" ] || continue
    case $python in
    */python2.*)
        xargs -d '\n' touch -c -d "@$SOURCE_DATE_EPOCH" < "$work/sources"
        "$python" -m compileall -q -f -i - < "$work/sources" || true ;;
    *)
        "$python" -m compileall -q -f -j1 --invalidation-mode unchecked-hash -i - \
            < "$work/sources" || true ;;
    esac
done

is=$(identity)
if [ "$was" != "$is" ]; then
    echo "it was: $was; it is: $is"
    exit 91
fi
rm -rf "$work"
