// Pages that run commands for whoever asks. Written from public knowledge of how they work.

rule webshell_php_eval {
    meta:
        description = "PHP page that runs code from the request"
        severity = "critical"
    strings:
        $php = "<?"
        $a = /(eval|assert)\s*\(\s*(@?(base64_decode|gzinflate|gzuncompress|str_rot13|stripslashes)\s*\(\s*){0,4}@?\$_(POST|GET|REQUEST|COOKIE)\s*\[/ nocase
        $b = /\b(system|passthru|shell_exec|exec|popen|proc_open)\s*\(\s*@?\$_(POST|GET|REQUEST|COOKIE)\s*\[/ nocase
        $c = /preg_replace\s*\(\s*["']\/[^\n]{0,40}\/e["'][^\n]{0,80}\$_(POST|GET|REQUEST)/ nocase
    condition:
        filesize < 4MB and uint32(0) != 0x464c457f and $php and any of ($a, $b, $c)
}

rule webshell_php_packed {
    meta:
        description = "PHP page whose code is hidden in several layers"
        severity = "high"
    strings:
        $php = "<?php"
        $a = /eval\s*\(\s*(gzinflate|gzuncompress|str_rot13|base64_decode)\s*\(\s*(base64_decode|str_rot13|strrev|gzinflate)\s*\(\s*["'][A-Za-z0-9+\/=]{200}/ nocase
    condition:
        filesize < 4MB and uint32(0) != 0x464c457f and $php and $a
}

rule webshell_jsp {
    meta:
        description = "JSP page that runs commands from the request"
        severity = "critical"
    strings:
        $jsp = "<%"
        $a = /getRuntime\(\)\s*\.exec\s*\(\s*request\.getParameter/
        $b = "Runtime.getRuntime().exec("
        $c = /request\.getParameter\s*\(\s*"(cmd|c|command|exec|pwd)"/
        $d = /ProcessBuilder\s*\(/
    condition:
        filesize < 1MB and uint32(0) != 0x464c457f and $jsp and ($a or ($c and ($b or $d)))
}

rule webshell_asp {
    meta:
        description = "ASP page that runs code from the request"
        severity = "critical"
    strings:
        $a = /<%[^%]{0,80}(eval|execute)\s*\(?\s*request/ nocase
    condition:
        filesize < 1MB and uint32(0) != 0x464c457f and $a
}
