#!/bin/sh
# The programs that some tests compare with or look through. As root on Debian they are installed; elsewhere the
# tests that need them say so and are skipped (in CI they fail).
set -eu
want=""
command -v tshark >/dev/null 2>&1 || want="$want tshark"
command -v chromium >/dev/null 2>&1 || want="$want chromium"
command -v openssl >/dev/null 2>&1 || want="$want openssl"
command -v tcpdump >/dev/null 2>&1 || want="$want tcpdump"
command -v xsetroot >/dev/null 2>&1 || want="$want x11-xserver-utils"
[ -e /usr/lib/xorg/modules/drivers/spiceqxl_drv.so ] || want="$want xserver-xspice"
# Not on the path of everybody: Debian has it in /usr/sbin.
[ -x /usr/sbin/spice-vdagentd ] || want="$want spice-vdagent"
# What the SPICE server encodes video with.
set -- /usr/lib/*/gstreamer-1.0/libgstapp.so
[ -e "$1" ] || want="$want gstreamer1.0-plugins-base"
set -- /usr/lib/*/gstreamer-1.0/libgstvpx.so
[ -e "$1" ] || want="$want gstreamer1.0-plugins-good"
set -- /usr/lib/*/gstreamer-1.0/libgstx264.so
[ -e "$1" ] || want="$want gstreamer1.0-plugins-ugly"
command -v qemu-system-x86_64 >/dev/null 2>&1 || want="$want qemu-system-x86"
# Without any font a browser lays a page out with empty boxes.
[ -d /usr/share/fonts/truetype/dejavu ] || want="$want fonts-dejavu-core"
/usr/bin/python3 -c 'import gi; gi.require_version("SpiceClientGLib", "2.0")' >/dev/null 2>&1 ||
  want="$want python3-gi gir1.2-spiceclientglib-2.0"
command -v xev >/dev/null 2>&1 || want="$want x11-utils"
command -v xwd >/dev/null 2>&1 || want="$want x11-apps"
[ -n "$want" ] || exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
  echo "not installed, the tests that need them will not run:$want" >&2
  exit 0
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# shellcheck disable=SC2086  # a list of packages
apt-get install -y -qq --no-install-recommends $want >/dev/null
