# shellcheck shell=dash disable=SC2016 # The shell that runs a script in single quotes expands its variables.
# Functions for sh that make a Debian in a directory, for tests that need their own system. Source
# this file with $top set to the checkout.
#
# It needs root, debootstrap and unshare. Mounts exist only in the namespace of the run, and end
# with its processes. A program outside does not see them: if it removes the root, it cannot delete
# files below a mount.

mirror=${DEBIAN_MIRROR:-http://deb.debian.org/debian}

# Runs a command in the root, with its own processes, mounts and shared memory. It does not use
# chroot, because inside a chroot a test could not make a user namespace. The shell stays as the
# parent of orphaned processes.
enter()
{
	local root=$1
	shift
	unshare --mount --pid --fork --kill-child sh -c '
		set -e
		root=$1
		shift
		mount --bind "$root" "$root"
		cd "$root"
		mount -t proc proc proc
		mount -t sysfs sysfs sys
		mount -t tmpfs -o mode=1777 tmpfs dev/shm
		mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
		pivot_root . mnt
		cd /
		umount -l /mnt
		"$@" && status=0 || status=$?
		exit $status' sh "$root" "$@"
}

# As enter(), with a new environment.
enter_cleanly()
{
	local root=$1
	shift
	enter "$root" env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 "$@"
}

# Copies the network configuration of this machine: resolver, proxy, and trusted certificates.
settle_network()
{
	local root=$1

	cp /etc/resolv.conf /etc/hosts "$root/etc/"
	apt-config dump | grep '^Acquire::[a-z]*::Proxy' >"$root/etc/apt/apt.conf.d/90machine" || true
	# The mirror may have an old snapshot of sid, which is good enough.
	echo 'Acquire::Check-Valid-Until "false";' >>"$root/etc/apt/apt.conf.d/90machine"
	if [ -x "$root/usr/sbin/update-ca-certificates" ]
	then
		find /usr/local/share/ca-certificates -name '*.crt' -exec cp {} "$root/usr/local/share/ca-certificates/" \;
		enter "$root" update-ca-certificates >/dev/null 2>&1
	fi
}

# Adds the packages of PostgreSQL's release candidates to a sid. All other packages come from sid.
# pgTAP exists only for older versions and consists of SQL, so the same files are used.
add_experimental()
{
	local root=$1 pg=19

	enter_cleanly "$root" DEBIAN_FRONTEND=noninteractive PG=$pg sh -euc '
		apt-get install -y --no-install-recommends gcc pkg-config libcurl4-openssl-dev
		echo "deb $0 experimental main" >/etc/apt/sources.list.d/experimental.list
		apt-get update
		printf "#!/bin/sh\nexit 101\n" >/usr/sbin/policy-rc.d
		chmod 755 /usr/sbin/policy-rc.d
		apt-get install -y --no-install-recommends postgresql-$PG/experimental postgresql-client-$PG/experimental \
			postgresql-server-dev-$PG/experimental libpq5/experimental libpq-dev/experimental
		rm /usr/sbin/policy-rc.d
		cd "$(mktemp -d)"
		chown _apt .
		older=$((PG - 1))
		apt-get download postgresql-$older-pgtap
		dpkg-deb -R postgresql-$older-pgtap_*.deb pgtap
		mv "pgtap/usr/share/postgresql/$older" "pgtap/usr/share/postgresql/$PG"
		sed -i "s/postgresql-$older/postgresql-$PG/" pgtap/DEBIAN/control
		rm -rf pgtap/usr/share/doc pgtap/DEBIAN/md5sums
		dpkg-deb -b pgtap pgtap.deb
		apt-get install -y --no-install-recommends ./pgtap.deb
		rm -rf "$PWD"' "$mirror"
}

# Makes a Debian with some packages. Without names, it installs the packages that `make` in a
# checkout needs. The root gets its name when it is complete.
make_root()
{
	local release=$1 root=$2 unfinished=$2.unfinished suite=$1
	shift 2
	[ "$release" != experimental ] || suite=sid
	[ $# -gt 0 ] || set -- ca-certificates make perl debconf-utils

	rm -rf --one-file-system "$unfinished"
	mkdir -p "$unfinished"
	debootstrap --variant=minbase "$suite" "$unfinished" "$mirror" || return 1
	settle_network "$unfinished" || return 1
	enter_cleanly "$unfinished" sh -c 'apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@"' sh "$@" || return 1
	settle_network "$unfinished" || return 1
	[ "$release" != experimental ] || add_experimental "$unfinished" || return 1
	mv "$unfinished" "$root"
}

# Makes a Debian unless it exists, with the output in ROOT.log. Updates the network configuration of
# an existing one.
keep_root()
{
	local release=$1 root=$2
	shift 2

	if [ ! -d "$root" ]
	then
		echo "Making a Debian $release in $root"
		mkdir -p "$(dirname "$root")"
		make_root "$release" "$root" "$@" >"$root.log" 2>&1 || {
			tail -n 20 "$root.log" >&2
			echo "no Debian $release could be made in $root" >&2
			return 1
		}
	fi
	settle_network "$root" || { echo "the Debian in $root can't be entered" >&2; return 1; }
}

# Copies the checkout without build results.
copy_source()
{
	local root=$1

	rm -rf --one-file-system "$root/srv/rhesis_notify"
	mkdir -p "$root/srv/rhesis_notify"
	# shellcheck disable=SC2154 # The script that reads this in sets $top.
	tar -C "$top" --exclude=./build --exclude=./.git --exclude=node_modules --exclude='*.o' --exclude='*.so' --exclude='*.bc' -cf - . |
		tar -C "$root/srv/rhesis_notify" --no-same-owner -xf -
}
