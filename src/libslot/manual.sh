#!/bin/sh
# manual.sh PAGE PROGRAM: the manual page with the example program in it, for scdoc
set -eu
sed -e "/^@EXAMPLE@\$/{
r $2
d
}" "$1"
