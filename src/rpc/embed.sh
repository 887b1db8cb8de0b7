#!/bin/sh
# Prints a C file that holds a text file as a string constant.
# usage: embed.sh FILE SYMBOL
set -eu

printf '/* made from %s by embed.sh */\n#include "rpc/idl.h"\n\n' "${1##*/}"
printf 'const char %s[] =\n' "$2"
sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e 's/^/\t"/' -e 's/$/\\n"/' "$1"
printf '\t;\n'
