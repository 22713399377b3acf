// Programs for Linux that do harm. Written from public knowledge of how they behave. Examples are in `examples.yaml`.

// A program (not a library) that is linked to run at any address: DT_FLAGS_1 (0x6ffffffb) has DF_1_PIE (0x08000000).
// The loader of glibc refuses to preload such a file, so nobody can borrow the mark for a library. Its dynamic section
// (PT_DYNAMIC, 2) is found through the program headers, which a stripped file has too. Little-endian only.
private rule position_independent_program {
    condition:
        uint32(0) == 0x464c457f and uint8(5) == 1 and (
            (uint8(4) == 2 and uint16(56) > 0 and uint16(56) < 64 and
                for any i in (0..uint16(56) - 1) : (
                    uint32(uint32(32) + i * 56) == 2 and
                    for any j in (0..63) : (
                        uint32(uint32(uint32(32) + i * 56 + 8) + j * 16) == 0x6ffffffb and
                        uint32(uint32(uint32(32) + i * 56 + 8) + j * 16 + 8) & 0x08000000 != 0)))
            or
            (uint8(4) == 1 and uint16(44) > 0 and uint16(44) < 64 and
                for any i in (0..uint16(44) - 1) : (
                    uint32(uint32(28) + i * 32) == 2 and
                    for any j in (0..63) : (
                        uint32(uint32(uint32(28) + i * 32 + 4) + j * 8) == 0x6ffffffb and
                        uint32(uint32(uint32(28) + i * 32 + 4) + j * 8 + 4) & 0x08000000 != 0)))
        )
}

rule eicar_test_file {
    meta:
        description = "EICAR anti-virus test file"
        severity = "medium"
    strings:
        // In parts, so that no scanner takes this rule for the file.
        $a = "X5O!P%@AP[4\\PZX54(P^)7CC)7}$EICAR-"
        $b = "STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"
    condition:
        $a at 0 and $b in (0..80)
}

rule miner_program {
    meta:
        description = "Cryptocurrency miner (XMRig or kin)"
        severity = "high"
    strings:
        $a = "donate-level"
        $b = "randomx"
        $c = "stratum+tcp://"
        $d = "cryptonight" nocase
        $e = "xmrig" nocase
        $f = "\"method\":\"login\",\"params\":{\"login\":"
        $g = "nicehash"
    condition:
        uint32(0) == 0x464c457f and 4 of them
}

rule preload_rootkit {
    meta:
        description = "Library that hides processes or files when preloaded"
        severity = "critical"
    strings:
        $a = "/proc/self/fd/%d"
        $b = "readdir"
        $c = "/proc/self/stat"
        $d = "/proc/%s/stat"
        $e = "dlsym"
        $f = "Error in dlsym: %s"
        $g = "ld.so.preload"
    condition:
        uint32(0) == 0x464c457f and (uint16(16) == 3 or uint16be(16) == 3) and filesize < 2MB and
        not position_independent_program and $b and $e and (($a and ($c or $d)) or ($f and $a) or ($g and $d))
}

rule backdoor_xorddos {
    meta:
        description = "Traits of the XorDDoS backdoor"
        severity = "critical"
    strings:
        $a = "BB2FA36AAA9541F0"
        $b = "/etc/cron.hourly/gcc.sh"
        $c = "/lib/libudev4.so"
        $d = "/etc/cron.hourly/udev.sh"
    condition:
        $a or (2 of ($b, $c, $d))
}

rule botnet_mirai {
    meta:
        description = "Traits of Mirai and its descendants"
        severity = "critical"
    strings:
        $a = "/dev/watchdog"
        $b = "/dev/misc/watchdog"
        $c = "/bin/busybox "
        $d = "TSource Engine Query"
        $e = "listening tun0"
        $f = "dvrHelper"
        $g = "/proc/net/tcp"
    condition:
        uint32(0) == 0x464c457f and filesize < 1MB and
        ($e or $f or ($a and $b and ($c or $d or $g)) or ($d and $c))
}

rule botnet_kaiten {
    meta:
        description = "IRC bot of the Tsunami (Kaiten) kind"
        severity = "critical"
    strings:
        $a = "NOTICE %s :TSUNAMI <target> <secs>"
        $b = "NOTICE %s :PAN <target> <port> <secs>"
        $c = "NOTICE %s :GET <http address> <save as>"
        $d = "NOTICE %s :UNKNOWN <target> <secs>"
        $e = "NOTICE %s :Kaiten"
    condition:
        2 of them
}

rule backdoor_sshd {
    meta:
        description = "OpenSSH server that logs passwords or has a master password"
        severity = "critical"
    strings:
        $s = "sshd" 
        $a = "pass_from: %s user: %s pass: %s"
        $b = "user:password --> %s:%s"
        $c = "+user: %s +password: %s"
        $d = "id=%s&m=%.8s"
        $e = "backdoor_pass"
    condition:
        uint32(0) == 0x464c457f and $s and any of ($a, $b, $c, $d, $e)
}

rule ransomware_linux {
    meta:
        description = "Program that encrypts files and leaves a ransom note"
        severity = "critical"
    strings:
        $a = "your files have been encrypted" nocase
        $b = "your files are encrypted" nocase
        $c = ".onion"
        $d = "bitcoin" nocase
        $e = "decrypt" nocase
        $f = "esxcli vm process"
        $g = "/vmfs/volumes"
    condition:
        (uint32(0) == 0x464c457f or uint16(0) == 0x2123) and
        (($a or $b) and $e and ($c or $d or $f or $g))
}

rule ransom_note {
    meta:
        description = "Ransom note"
        severity = "high"
    strings:
        $a = /all (of )?your (important )?files (have been|were|are) encrypted/ nocase
        $b = ".onion"
        $c = /bitcoin|monero| btc | xmr / nocase
        $d = /decrypt(ion|or)? (key|tool|your files|software)/ nocase
    condition:
        filesize < 64KB and $a and 2 of ($b, $c, $d)
}

rule packed_upx {
    meta:
        description = "ELF program packed with UPX: its content cannot be judged"
        severity = "low"
    strings:
        $a = "UPX!"
        $b = "$Info: This file is packed with the UPX"
    condition:
        uint32(0) == 0x464c457f and $a in (0..1024) and ($b or #a > 1)
}

rule dropper_memfd {
    meta:
        description = "Small program that downloads and runs code from memory"
        severity = "high"
    strings:
        $a = "memfd_create"
        $b = "fexecve"
        $c = "/proc/self/fd/%d"
        $d = "/proc/%d/fd/%d"
        $e = /https?:\/\/[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}/
        $f = "GET /"
    condition:
        uint32(0) == 0x464c457f and filesize < 256KB and $a and any of ($b, $c, $d) and ($e or $f)
}
