#!/bin/sh
# A layer includes only what is below it, and each library ends in its folder.
# Usage: layers.sh SOURCE-ROOT; prints each breach, exit 1 if there is one.
set -u
cd "$1/src" || exit 2
breaches=0

breach() {
	echo "$1"
	breaches=$((breaches + 1))
}

# library HEADER FOLDER...: only these folders include it
library() {
	header=$1
	shift
	for file in $(grep -rlE "# *include *[<\"]$header" --include='*.[ch]' .); do
		folder=${file#./}
		folder=${folder%%/*}
		case " $* " in
		*" $folder "*) ;;
		*) breach "src/${file#./} includes $header, which belongs to: $*" ;;
		esac
	done
}

# layer FOLDER PREFIX...: its includes of ours begin with one of these, or its own name
layer() {
	folder=$1
	shift
	[ -d "$folder" ] || return
	for found in $(grep -rHoE '# *include *"[^"]+"' --include='*.[ch]' "$folder" |
		sed 's/# *include *"/ /; s/"//; s/: */:/'); do
		file=${found%%:*}
		header=${found#*:}
		allowed=no
		# a header without a folder is beside the file
		case $header in */*) ;; *) allowed=yes ;; esac
		for prefix in "$folder/" "$@"; do
			case $header in "$prefix"*) allowed=yes ;; esac
		done
		[ $allowed = yes ] || breach "src/$file includes \"$header\", which is not below $folder"
	done
}

library lmdb.h ledger
library git2 git integrity worker
library yaml.h config

layer util
layer rpc util/
layer config util/
layer ledger util/
layer lease util/
layer watch util/
layer jobs util/ rpc/ config/ ledger/ watch/
layer pool util/ rpc/ config/ lease/ ledger/ watch/ jobs/
layer slotd util/ rpc/ config/ lease/ ledger/ watch/ jobs/ pool/
layer git util/ rpc/
layer integrity util/ rpc/ git/
layer worker util/ rpc/ git/ integrity/
layer libslot util/ rpc/ slotd/slot
layer slotctl util/ config/ rpc/frame.h libslot/ slotd/slot

[ $breaches -eq 0 ]
