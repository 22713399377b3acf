<?php
// Keeps an order in a folder of its day, and packs it.
$day = preg_replace("/[^0-9-]/", "", $_GET["day"] ?? "none");
$folder = "/srv/shop/orders/$day";
if (!is_dir($folder)) mkdir($folder, 0755, true);
$file = "$folder/" . bin2hex(random_bytes(8)) . ".json";
file_put_contents($file, json_encode(["items" => $_POST, "at" => time()]));
shell_exec("gzip " . escapeshellarg($file));
echo basename($file);
