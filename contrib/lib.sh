# shellcheck shell=bash
# What contrib/demo, contrib/check and contrib/install have in common. Sourced, not run;
# needs bash. $TOP is the source tree.

# packages that only contrib/check needs; the others build and run slotd
CHECK_ONLY=' clang dropbear-bin libclang-rt-dev libcriterion-dev libnss-wrapper llvm openssh-client '
CHECK_ONLY+='openssl systemd valgrind '

say()
{
	printf '%s\n' "$*"
}

# one step's title, so that a reader finds it again in a long log
step()
{
	printf '\n== %s\n' "$*"
}

die()
{
	printf '%s: %s\n' "${0##*/}" "$*" >&2
	exit 1
}

# packages_missing all|build - the packages of contrib/packages that are not installed
packages_missing()
{
	local package

	while read -r package; do
		[ -n "$package" ] || continue
		[ "$1" = all ] || [ "${CHECK_ONLY/ $package /}" = "$CHECK_ONLY" ] || continue
		[ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null)" = installed ] ||
			printf '%s ' "$package"
	done <"$TOP/contrib/packages"
}

# as_root COMMAND... - directly, or by sudo
as_root()
{
	if [ "$(id -u)" = 0 ]; then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo "$@"
	else
		die "not root and no sudo: cannot run: $*"
	fi
}

# packages_install all|build - installs what is missing, and touches apt only then
packages_install()
{
	local missing

	if ! command -v dpkg-query >/dev/null; then
		say "This is not Debian: taking it that the packages of contrib/packages are there."
		return
	fi
	missing=$(packages_missing "$1")
	[ -n "$missing" ] || return 0
	step "Packages: $missing"
	as_root apt-get update -q || die "apt-get update failed"
	# shellcheck disable=SC2086 # one word a package
	as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends \
		$missing || die "installing packages failed: $missing"
}

# meson_build DIRECTORY [MESON OPTION]... - configure (again, if the options changed) and build
# $TARGETS, or all
meson_build()
{
	local dir=$1 stamp=$1/contrib-options
	shift

	if [ "$(cat "$stamp" 2>/dev/null)" != "$*" ]; then
		rm -rf "$dir"
		meson setup "$dir" "$TOP" "$@" || return
		printf '%s\n' "$*" >"$stamp"
	fi
	# shellcheck disable=SC2086 # several targets are several words
	ninja --quiet -C "$dir" ${TARGETS-}
}
