<?php header("Content-Type: text/html"); session_start(); $_SESSION["n"] = ($_SESSION["n"] ?? 0) + 1; ?>
<h1>Shop</h1><?= htmlspecialchars($_GET["q"] ?? "", ENT_QUOTES) ?> <?= date("H:i"), " ", $_SESSION["n"] ?>
