// Scripts and settings that do harm. Written from public knowledge of how they behave.

rule miner_configuration {
    meta:
        description = "Configuration of a cryptocurrency miner"
        severity = "high"
    strings:
        $a = "\"pools\""
        $b = "\"donate-level\""
        $c = "stratum+"
        $d = "\"randomx\""
        $e = "\"coin\""
        $f = "\"rig-id\""
    condition:
        filesize < 256KB and uint8(0) == 0x7b and $a and 2 of ($b, $c, $d, $e, $f)
}

rule miner_start {
    meta:
        description = "Script that starts a cryptocurrency miner"
        severity = "high"
    strings:
        $a = /stratum\+(tcp|ssl|tls):\/\/[A-Za-z0-9.-]{4,80}:[0-9]{2,5}/
        $b = /xmrig[^\n]{0,200}(--donate-level|-o [a-z0-9.-]{4,80}:[0-9]{2,5})/
        $c = /minexmr\.com|supportxmr\.com|nanopool\.org|moneroocean\.stream|hashvault\.pro/
        $s = "#!"
    condition:
        filesize < 1MB and uint32(0) != 0x464c457f and ($b or ($a and ($c or $s at 0)) or ($c and $s at 0))
}

rule reverse_shell {
    meta:
        description = "Opens a shell to another machine"
        severity = "high"
    strings:
        $a = /(ba|z|k|da)?sh -i [^\n]{0,20}\/dev\/(tcp|udp)\/[A-Za-z0-9.$\{-]{2,80}\/[0-9$]/
        $b = /exec [0-9]{1,3}<>\s?\/dev\/tcp\/[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}\/[0-9]+/
        $c = /\bn(c|cat) [^\n]{0,80}-[a-z]{0,4}[ec] (\/usr)?(\/bin\/)?(ba|da|z)?sh\b/
        $d = /mkfifo \/[a-zA-Z0-9._\/-]{1,60}\s?;[^\n]{0,80}\|\s?(\/bin\/)?(ba)?sh -i[^\n]{0,40}\|\s?n(c|cat) /
        $e = /socket\.socket\([^\n]{0,400}os\.dup2\([^\n]{0,400}(subprocess\.call|pty\.spawn)\(\[?["']\/bin\/(ba)?sh/
        $f = /use Socket;\$i=["'][^\n]{0,400}exec\(?\{?["']\/bin\/sh -i/
        $g = /fsockopen\([^\n]{0,120}(exec|proc_open|shell_exec)\(["']\/bin\/(ba)?sh -i/
    condition:
        filesize < 4MB and uint32(0) != 0x464c457f and any of them
}

rule download_and_run_hidden {
    meta:
        description = "Cron entry or script that keeps fetching a program and running it"
        severity = "high"
    strings:
        $a = /(\*|[0-9*\/]{1,6}) \* \* \* \*[^\n]{0,60}(curl|wget)[^\n]{0,160}\|\s?(ba)?sh/
        $b = /echo [A-Za-z0-9+\/=]{60,} ?\| ?base64 -(d|-decode) ?\| ?(ba)?sh/
        $c = /(curl|wget)[^\n]{0,40}https?:\/\/[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}[^\n]{0,120}\|\s?(ba)?sh/
    condition:
        filesize < 1MB and uint32(0) != 0x464c457f and any of them
}

rule disarms_and_spreads {
    meta:
        description = "Script in the manner of Kinsing or TeamTNT: removes protection and attacks engines"
        severity = "critical"
    strings:
        $a1 = "setenforce 0"
        $a2 = /ufw disable|iptables -F/
        $a3 = /aliyun|aegis|cloudmonitor|qcloud|yunjing/ nocase
        $a4 = "chattr -i /etc/ld.so.preload"
        $a5 = /(pkill|killall)( -9)?( -f)? (xmrig|kinsing|kdevtmpfsi|masscan)/
        $b1 = "kdevtmpfsi"
        $b2 = "masscan"
        $b3 = /:237[56]\/(containers|images|version)/
        $b4 = /docker (-H|--host)[^\n]{1,60}:237[56]/
        $b5 = "169.254.169.254/latest/meta-data/iam"
        $b6 = /zgrab|pnscan/
    condition:
        filesize < 2MB and uint32(0) != 0x464c457f and 2 of ($a*) and any of ($b*)
}

rule preload_of_hidden_library {
    meta:
        description = "Writes a library into ld.so.preload, which every program then loads"
        severity = "high"
    strings:
        $a = /echo [^\n]{1,100}\.so[^\n]{0,20}>>? ?\/etc\/ld\.so\.preload/
    condition:
        filesize < 2MB and uint32(0) != 0x464c457f and $a
}

rule root_key_implant {
    meta:
        description = "Script that adds an SSH key to root and removes traces"
        severity = "high"
    strings:
        $a = /echo [^\n]{0,20}ssh-(rsa|ed25519) [A-Za-z0-9+\/=]{40,}[^\n]{0,80}>>? ?(\/root|~)\/\.ssh\/authorized_keys/
        $b = "chattr +i"
        $c = "history -c"
        $d = /rm -rf? \/var\/log/
        $e = "HISTFILE=/dev/null"
    condition:
        filesize < 2MB and uint32(0) != 0x464c457f and $a and any of ($b, $c, $d, $e)
}
