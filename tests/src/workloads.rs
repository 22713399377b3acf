//! Real services from Debian that do a real piece of work: a web server, Redis, PostgreSQL, a Python web application, a Node.js
//! one, and a shell script with cron; in one image, each a script that ends.

use std::fs;

use crate::{docker, fetched, tool};

/// The image with all of them.
pub const IMAGE: &str = "haechi-test-workloads:3";
const PACKAGES: &str = "nginx-light,redis-server,python3-flask,nodejs,cron,strace,postgresql";

/// Asks a server on the loopback for something, and shows what it says.
const ASK: &str = "ask() { for i in $(seq 100); do exec 3<>/dev/tcp/127.0.0.1/$1 && break; sleep 0.1; done 2>/dev/null; \
                   printf \"$2\" >&3; timeout 5 cat <&3 | head -c 200; exec 3>&-; }; ";

/// A workload and what it does, in bash; each ends, and fails if a part of it does.
pub const WORKLOADS: [(&str, &str); 6] = [
    (
        "nginx",
        "nginx; ask 80 'GET / HTTP/1.0\\r\\n\\r\\n'; ask 80 'GET /none HTTP/1.0\\r\\n\\r\\n'; nginx -s reload; sleep 1; nginx -s quit",
    ),
    (
        "redis",
        "redis-server --dir /tmp --daemonize yes; sleep 1; redis-cli set a 1; redis-cli get a; redis-cli save; redis-cli shutdown",
    ),
    (
        "postgresql",
        "service postgresql start; sleep 2; su postgres -c \"psql -c 'create table t (a int)' -c 'insert into t select generate_series(1,1000)' -c 'select count(*) from t'\"; service postgresql stop",
    ),
    ("flask", "python3 /job/app.py"),
    ("node", "node /job/app.js"),
    ("cron", "cron; sleep 65; kill $(cat /run/crond.pid); test -s /tmp/counted"),
];

/// It ends its server itself: what a thread does that the end of Python catches is another from run to run (libgcc is loaded, or not).
const FLASK: &str = "
import threading, urllib.request
from flask import Flask, jsonify, render_template_string
from werkzeug.serving import make_server
app = Flask(__name__)
@app.route('/')
def index():
    return render_template_string('<p>{{ name }}</p>', name='a')
@app.route('/json')
def data():
    return jsonify(a=1)
server = make_server('127.0.0.1', 8000, app)
serving = threading.Thread(target=server.serve_forever)
serving.start()
for path in ['/', '/json']:
    print(urllib.request.urlopen('http://127.0.0.1:8000' + path).read())
server.shutdown()
serving.join()
";

const NODE: &str = "
const http = require('http'), zlib = require('zlib'), crypto = require('crypto');
const server = http.createServer((q, a) => a.end(zlib.gzipSync(crypto.randomBytes(8))));
server.listen(8000, () => http.get('http://127.0.0.1:8000', (a) => { a.resume(); a.on('end', () => server.close()); }));
";

/// Loads the image.
pub fn load() {
    let tar = fetched(
        "workloads-3",
        &["var/cache/apt/*", "var/lib/apt/lists/*", "usr/share/doc/*"],
        |root| {
            let release = tool("sh", &["-c", ". /etc/os-release && echo $VERSION_CODENAME"]);
            let include = format!("--include={PACKAGES}");
            tool("debootstrap", &["--variant=minbase", &include, &release, root.to_str().unwrap()]);
            let work = root.join("job");
            fs::create_dir(&work).unwrap();
            fs::write(work.join("app.py"), FLASK).unwrap();
            fs::write(work.join("app.js"), NODE).unwrap();
            let job =
                "* * * * * root /bin/sh -c 'find /etc -name passwd | xargs wc -l > /tmp/counted'\n";
            fs::write(root.join("etc/cron.d/job"), job).unwrap();
            for (name, script) in WORKLOADS {
                let script = format!("#!/bin/bash\nset -e\n{ASK}\n{script}\n");
                fs::write(work.join(name), script).unwrap();
            }
        },
    );
    docker(&["import", tar.to_str().unwrap(), IMAGE]);
}
