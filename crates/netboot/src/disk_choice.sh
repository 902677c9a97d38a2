# Finds the one disk of this machine that may be erased. It runs in Ubuntu's and in Debian's installer, as root, before
# the disk is touched; it reads /sys, udev's database and the mounts only, with what busybox has.
#
# Set above: installer, own_mac (of the node), selector (in words), and what is wanted, each only where the selector has
# it: want_serial, want_model, want_vendor, want_wwn, want_path (globs), min_sectors, max_sectors, want_ssd (1 or 0); or
# only_disk, where there is no selector.
# PROVBUILD_ROOT is a prefix of every path, for tests.
root=${PROVBUILD_ROOT:-}
newline='
'

say() {
    printf 'provbuild: %s\n' "$1" >&2
    if [ -z "$root" ] && [ "$installer" = debian ]; then
        # Debian's installer shows neither output: this is where a person or a serial line sees it.
        printf '\r\nprovbuild: %s\r\n' "$1" >/dev/console 2>/dev/null || :
    fi
}

stop() {
    say "STOPPED, nothing was erased: $1"
    if [ -z "$root" ] && [ "$installer" = debian ]; then
        # A command that fails is reported there, but the installation goes on: it must not.
        while :; do sleep 60; done
    fi
    exit 1
}

# A file's first line without blanks at its ends; nothing where there is no file.
line_of() {
    [ -r "$1" ] || return 0
    sed -n -e '1{' -e 's/^[[:space:]]*//' -e 's/[[:space:]]*$//' -e 'p' -e '}' "$1" 2>/dev/null || :
}

# A property in udev's database of the disk ($1: database file, $2: name).
property() {
    [ -r "$1" ] || return 0
    sed -n "s/^E:$2=//p" "$1"
}

# Whether one line of $2 matches the glob $1. A disk without the property matches nothing.
matches() {
    pattern=$1
    verdict=$(printf '%s\n' "$2" | while IFS= read -r value; do
        [ -n "$value" ] || continue
        case $value in
            $pattern) echo yes ;;
        esac
    done)
    [ -n "$verdict" ]
}

# Why the disk in $1 (its folder in /sys, with udev's database in $2) is never a target; nothing where it may be one.
unfit() {
    if [ "$(line_of "$1/ro")" = 1 ]; then echo 'read-only'; return; fi
    case $(property "$2" ID_FS_TYPE) in iso9660) echo 'an installation medium'; return ;; esac
    case $(property "$2" ID_FS_LABEL) in cidata | CIDATA) echo 'a seed of cloud-init'; return ;; esac
    for device in $(stack "${1##*/}"); do
        number=$(line_of "$(folder_of "$device")/dev")
        [ -n "$number" ] || continue
        # proc_pid_mountinfo(5): the third field is the device.
        while read -r _ _ mounted _; do
            if [ "$mounted" = "$number" ]; then echo 'in use by the installer'; return; fi
        done <"$root/proc/self/mountinfo"
    done
}

# The folder in /sys of a disk, a partition or a device made of them.
folder_of() {
    for candidate in "$root/sys/block/$1" "$root"/sys/block/*/"$1"; do
        if [ -r "$candidate/dev" ]; then echo "$candidate"; return; fi
    done
}

# The disk, its partitions, and what is made of them (RAID, volumes, encryption), by name.
stack() {
    todo=$1 all=
    for part in "$root/sys/block/$1/$1"*; do
        [ ! -r "$part/dev" ] || todo="$todo ${part##*/}"
    done
    while [ -n "$todo" ]; do
        next=${todo%% *}
        case $todo in *' '*) todo=${todo#* } ;; *) todo= ;; esac
        case " $all " in *" $next "*) continue ;; esac
        all="${all:+$all }$next"
        for holder in "$(folder_of "$next")"/holders/*; do
            [ ! -e "$holder" ] || todo="${todo:+$todo }${holder##*/}"
        done
    done
    echo "$all"
}

# Stops where erasing the disk $1 would destroy what other disks hold: installers dissolve a RAID or a volume group as a
# whole, on all of its disks.
must_stand_alone() {
    own=$(stack "$1")
    for device in $own; do
        for slave in "$(folder_of "$device")"/slaves/*; do
            [ -e "$slave" ] || continue
            case " $own " in
                *" ${slave##*/} "*) ;;
                *) stop "/dev/$1 is a part of $device together with ${slave##*/}: take that apart first; $disks" ;;
            esac
        done
    done
    # What is not assembled has no holders yet, but the installers assemble it.
    for device in $own; do
        database=$root/run/udev/data/b$(line_of "$(folder_of "$device")/dev")
        kind=$(property "$database" ID_FS_TYPE)
        case $kind in *_raid_member | btrfs | zfs_member | bcache) ;; *) continue ;; esac
        uuid=$(property "$database" ID_FS_UUID)
        [ -n "$uuid" ] || continue
        for other in "$root"/sys/block/*/dev "$root"/sys/block/*/*/dev; do
            other_folder=${other%/dev}
            case " $own " in *" ${other_folder##*/} "*) continue ;; esac
            case ${other_folder##*/} in dm-* | md*) continue ;; esac
            [ "$(property "$root/run/udev/data/b$(line_of "$other")" ID_FS_UUID)" != "$uuid" ] ||
                stop "/dev/$1 and ${other_folder##*/} are parts of the same $kind: take that apart first; $disks"
        done
    done
    if [ -z "$root" ] && command -v pvs >/dev/null 2>&1; then
        for device in $own; do
            group=$(pvs --noheadings -o vg_name "/dev/$device" 2>/dev/null | tr -d ' ')
            [ -n "$group" ] || continue
            for volume in $(pvs --noheadings -o pv_name -S "vg_name=$group" 2>/dev/null); do
                case " $own " in
                    *" ${volume#/dev/} "*) ;;
                    *) stop "/dev/$1 and $volume hold the volume group $group: take that apart first; $disks" ;;
                esac
            done
        done
    fi
    # partman looks for a disk's arrays and volumes by how names begin: of sda it takes those of sdaa as well.
    if [ "$installer" = debian ]; then
        for other in "$root"/sys/block/*; do
            case ${other##*/} in
                "$1"?*) stop "partman would take /dev/${other##*/} for a part of /dev/$1; $disks" ;;
            esac
        done
    fi
}

if [ -z "$root" ] && command -v udevadm >/dev/null 2>&1; then udevadm settle --timeout=60 || :; fi
[ -r "$root/proc/self/mountinfo" ] || stop 'the mounts of this machine cannot be read'

own=
for card in "$root"/sys/class/net/*/address; do
    [ "$(line_of "$card")" != "$own_mac" ] || own=yes
done
[ -n "$own" ] || stop "this machine is another one: it has no network card with the address $own_mac"

found= count=0 seen= broken=
for folder in "$root"/sys/block/*; do
    name=${folder##*/}
    case $name in
        loop* | ram* | zram* | sr* | fd* | dm-* | md* | nbd* | drbd* | mtdblock* | mmcblk*boot* | mmcblk*rpmb*) continue ;;
    esac
    number=$(line_of "$folder/dev") sectors=$(line_of "$folder/size")
    case $number in '' | *[!0-9:]*) continue ;; esac
    case $sectors in '' | *[!0-9]*) continue ;; esac
    removable=$(line_of "$folder/removable")
    if [ "$sectors" = 0 ]; then
        # An empty card reader says that its medium can be removed; a disk that has none is broken.
        if [ "$removable" != 1 ]; then broken="$broken /dev/$name" seen="$seen$newline    /dev/$name: empty or broken"; fi
        continue
    fi
    if [ "$(line_of "$folder/hidden")" = 1 ]; then continue; fi
    # The kernel writes a slash of a device's name as an exclamation mark in /sys.
    node=/dev/$(printf '%s' "$name" | tr '!' '/')
    udev=$root/run/udev/data/b$number
    serials=$(property "$udev" ID_SERIAL_SHORT; property "$udev" ID_SCSI_SERIAL; property "$udev" ID_SERIAL
        line_of "$folder/serial"; line_of "$folder/device/serial")
    models=$(property "$udev" ID_MODEL; line_of "$folder/device/model")
    vendors=$(property "$udev" ID_VENDOR; line_of "$folder/device/vendor")
    wwns=$(property "$udev" ID_WWN_WITH_EXTENSION; property "$udev" ID_WWN
        line_of "$folder/wwid"; line_of "$folder/device/wwid" | sed 's/^naa\./0x/')
    paths=$(printf '%s\n' "$node"; [ ! -r "$udev" ] || sed -n 's|^S:|/dev/|p' "$udev")
    case $(line_of "$folder/queue/rotational") in 0) ssd=1 kind=solid-state ;; *) ssd=0 kind=rotating ;; esac
    seen="$seen$newline    $node: $((sectors / 2048)) MiB, $kind"
    for words in "serial:$serials" "model:$models" "vendor:$vendors" "wwn:$wwns"; do
        text=$(printf '%s\n' "${words#*:}" | sed '/^$/d' | head -n 1)
        [ -z "$text" ] || seen="$seen, ${words%%:*} $text"
    done
    reason=$(unfit "$folder" "$udev")
    if [ -n "$reason" ]; then
        seen="$seen (left out: $reason)"
        if [ "$reason" = read-only ]; then broken="$broken $node"; fi
        continue
    fi
    if [ -n "${only_disk+given}" ]; then
        if [ "$removable" = 1 ] || [ "$(property "$udev" ID_BUS)" = usb ]; then
            seen="$seen (left out: it can be removed)"
            continue
        fi
    fi
    [ -z "${want_serial+given}" ] || matches "$want_serial" "$serials" || continue
    [ -z "${want_model+given}" ] || matches "$want_model" "$models" || continue
    [ -z "${want_vendor+given}" ] || matches "$want_vendor" "$vendors" || continue
    [ -z "${want_wwn+given}" ] || matches "$want_wwn" "$wwns" || continue
    [ -z "${want_path+given}" ] || matches "$want_path" "$paths" || continue
    [ -z "${min_sectors+given}" ] || [ "$sectors" -ge "$min_sectors" ] || continue
    [ -z "${max_sectors+given}" ] || [ "$sectors" -le "$max_sectors" ] || continue
    [ -z "${want_ssd+given}" ] || [ "$ssd" = "$want_ssd" ] || continue
    count=$((count + 1)) found=$node seen="$seen (matches)"
done
disks="the disks of this machine are:${seen:- none}"
case $count in
    0) stop "no disk matches the node's selector, $selector; $disks" ;;
    1) ;;
    *) stop "$count disks match the node's selector, $selector, and one must; $disks" ;;
esac
case $found in *[!A-Za-z0-9/_.-]*) stop "the disk's name is strange: $found" ;; esac
# The disk that is left need not be the one that was meant.
if [ -n "${only_disk+given}" ] && [ -n "$broken" ]; then
    stop "without a selector the node must have one disk, and$broken is there as well, though it cannot be used; $disks"
fi
must_stand_alone "$(printf '%s' "${found#/dev/}" | tr '/' '!')"
say "the system goes to $found; $disks"
