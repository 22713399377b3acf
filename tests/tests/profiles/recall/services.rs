//! Five services as people run them: how they are started, what they do all day, and by which way an attacker's code gets into
//! them. Everything that is done in a round is done with other names, texts and order than in the round before.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use haechi_tests::{corpus_image, docker, repository, until};

/// Containers, images and the network are called so.
pub const PREFIX: &str = "haechi-test-recall";
const IMAGE: &str = "haechi-test-recall/services:1";
const BASE: &str = "haechi-test-recall/base:1";
/// Steps of a round that go through the engine are done in each so many rounds.
const EXEC_EVERY: usize = 4;

/// A service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Service {
    /// PHP that hands what it is sent to a shell.
    Shop,
    /// Python that evaluates what it is sent.
    Api,
    /// A shell that does the jobs it finds.
    Jobs,
    /// Redis that may be told where it saves.
    Store,
    /// nginx.
    Web,
}

impl Service {
    pub const ALL: [Self; 5] = [Self::Shop, Self::Api, Self::Jobs, Self::Store, Self::Web];

    /// Name of its container.
    pub fn container(self) -> String {
        format!("{PREFIX}-{}", format!("{self:?}").to_lowercase())
    }

    fn port(self) -> u16 {
        match self {
            Self::Api => 8000,
            Self::Store => 6379,
            Self::Shop | Self::Web | Self::Jobs => 8080,
        }
    }

    fn words(self) -> (Vec<String>, &'static [&'static str]) {
        let store = format!("--env=REDIS={}", Self::Store.container());
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        match self {
            Self::Shop => {
                (words(&["--stop-signal=INT"]), &["php", "-S", "0.0.0.0:8080", "-t", "/srv/shop"])
            }
            Self::Api => (words(&["--stop-signal=INT", &store]), &["python3", "/srv/api/api.py"]),
            Self::Jobs => (Vec::new(), &["/srv/jobs/worker.sh"]),
            Self::Store => (
                words(&["--volume=/data", "--health-cmd=redis-cli ping", "--health-interval=3s"]),
                &[
                    "redis-server",
                    "--dir",
                    "/data",
                    "--appendonly",
                    "yes",
                    "--protected-mode",
                    "no",
                    "--enable-protected-configs",
                    "yes",
                    // Of what took 10 ms it keeps who asked (getpeername): on a busy machine, at chance. So of all.
                    "--slowlog-log-slower-than",
                    "0",
                ],
            ),
            Self::Web => (
                words(&[
                    "--health-cmd=curl -fsS http://127.0.0.1:8080/health",
                    "--health-interval=3s",
                ]),
                &["nginx", "-g", "daemon off;"],
            ),
        }
    }

    /// Starts it; `queue` is the folder that jobs are put into.
    pub fn start(self, queue: &Path) {
        let (mut options, command) = self.words();
        if self == Self::Jobs {
            options.push(format!("--volume={}:/srv/jobs/queue", queue.display()));
        }
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        let name = self.container();
        let run = ["run", "--detach", "--label", PREFIX, "--network", PREFIX, "--name", &name];
        docker(&[&run, &options[..], &[IMAGE], command].concat());
        self.wait();
    }

    /// Stops it and starts it again.
    pub fn restart(self) {
        docker(&["restart", "--time", "10", &self.container()]);
        self.wait();
    }

    fn wait(self) {
        if self != Self::Jobs {
            until("a service answers", || {
                TcpStream::connect((self.address(), self.port())).is_ok()
            });
        }
    }

    fn address(self) -> String {
        let path = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
        docker(&["inspect", "--format", path, &self.container()])
    }

    /// Sends bytes, and gives what is answered.
    fn send(self, what: &[u8]) -> String {
        let mut stream = TcpStream::connect((self.address(), self.port())).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream.write_all(what).unwrap();
        if self == Self::Store {
            stream.shutdown(std::net::Shutdown::Write).unwrap();
        }
        let mut answer = Vec::new();
        // What an attack ends answers no more.
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    }

    fn get(self, path: &str) -> String {
        self.send(format!("GET {path} HTTP/1.0\r\nHost: example\r\n\r\n").as_bytes())
    }

    fn post(self, path: &str, body: &str) -> String {
        let form = "Content-Type: application/x-www-form-urlencoded";
        let length = body.len();
        let head = format!(
            "POST {path} HTTP/1.0\r\nHost: example\r\n{form}\r\nContent-Length: {length}\r\n\r\n"
        );
        self.send(&[head.as_bytes(), body.as_bytes()].concat())
    }

    /// A script for bash, run by `docker exec`; what it says.
    pub fn exec(self, script: &str) -> String {
        let mut child = Command::new("timeout")
            .args(["60", "docker", "exec", "--interactive", &self.container(), "bash", "-e"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
        let done = child.wait_with_output().unwrap();
        String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned()
    }

    /// A round of everyday work.
    pub fn work(self, round: usize, queue: &Path) {
        let mut steps: Vec<Box<dyn Fn()>> = match self {
            Self::Shop => vec![
                Box::new(move || drop(self.get(&format!("/?q=term-{round}")))),
                Box::new(move || {
                    let path =
                        format!("/order.php?day=2026-{:02}-{:02}", round % 12 + 1, round % 28 + 1);
                    assert!(self.post(&path, &format!("item={round}&count=2")).contains(".json"));
                }),
                Box::new(move || drop(self.get(&format!("/none-{round}")))),
                Box::new(move || {
                    let script = format!(
                        "mkdir -p /tmp/convert; printf 'item %s\\n' {round} 2 1 | sort | sed s/item/row/ > /tmp/convert/{round}.txt
                         gzip -c /tmp/convert/{round}.txt | wc -c; cat /srv/shop/index.php | head -1; rm -f /tmp/convert/{round}.txt"
                    );
                    assert!(self.post("/convert.php", &script).contains("php"));
                }),
            ],
            Self::Api => {
                vec![
                    Box::new(move || drop(self.get("/"))),
                    Box::new(move || assert!(self.get("/count").contains(':'))),
                    Box::new(move || {
                        let said = self.post("/", &format!("data of {round}").repeat(round + 1));
                        let name = said.rsplit("\r\n").next().unwrap().to_owned();
                        assert!(self.get(&format!("/{name}")).contains("data of"));
                    }),
                    Box::new(move || drop(self.get("/list"))),
                    Box::new(move || drop(self.get(&format!("/none-{round}")))),
                    Box::new(move || {
                        drop(self.post(
                            "/formula",
                            &format!("print(json.dumps([{round}, 2 ** {round}]))"),
                        ));
                    }),
                    Box::new(move || {
                        let text = format!(
                            "import subprocess; subprocess.run(['bash', '-ec', 'date; echo {round} | tr 0 1'])"
                        );
                        drop(self.post("/formula", &text));
                    }),
                ]
            }
            Self::Jobs => {
                let queue = queue.to_owned();
                vec![Box::new(move || {
                    let shop = Self::Shop.container();
                    let scripts = [
                        format!("seq {} | sort -rn | awk '{{s+=$1}} END {{print s}}'", round + 10),
                        format!("curl -fsS http://{shop}:8080/?q={round} | grep -c Shop; date"),
                        format!("tar -czf /srv/jobs/done/{round}.tgz -C /srv/jobs log; sha256sum /srv/jobs/done/{round}.tgz"),
                        format!("cp /srv/jobs/log /srv/jobs/log.{round}; gzip -f /srv/jobs/log.{round}; : > /srv/jobs/log"),
                        "find /srv/jobs/done -name '*.out' -mmin +600 -delete; ls /srv/jobs/done | wc -l".to_owned(),
                    ];
                    for at in 0..scripts.len() {
                        let at = (at + round) % scripts.len();
                        job(&queue, &format!("work-{round}-{at}"), &scripts[at]);
                    }
                })]
            }
            Self::Store => vec![
                Box::new(move || {
                    drop(self.send(format!("SET key:{round} {round}\r\nGET key:{round}\r\nEXPIRE key:{round} 100\r\n").as_bytes()))
                }),
                Box::new(move || {
                    drop(self.send(
                        format!("LPUSH list {round}\r\nLRANGE list 0 5\r\nDBSIZE\r\n").as_bytes(),
                    ))
                }),
                Box::new(move || {
                    drop(self.send(
                        b"EVAL \"return redis.call('INCR','n')\" 0\r\nSLOWLOG GET\r\nINFO\r\n",
                    ))
                }),
                Box::new(move || {
                    drop(self.send(if round.is_multiple_of(2) {
                        b"BGSAVE\r\n"
                    } else {
                        b"BGREWRITEAOF\r\n"
                    }))
                }),
            ],
            Self::Web => vec![
                Box::new(move || assert!(self.get("/index.html").contains("works"))),
                Box::new(move || drop(self.get("/health"))),
                Box::new(move || drop(self.get(&format!("/none-{round}.html")))),
            ],
        };
        if round % EXEC_EVERY < 2 {
            let script = match self {
                Self::Shop => "ls /srv/shop/orders | wc -l; ps aux | head -3".to_owned(),
                Self::Api => "tail -2 /srv/api/log; ps aux | head -3".to_owned(),
                Self::Jobs => "tail -2 /srv/jobs/log; ps aux | head -3".to_owned(),
                Self::Store => "redis-cli info | head -3; ls -la /data; df -h | head -3".to_owned(),
                Self::Web => format!(
                    "nginx -t; nginx -s reload; mv /var/log/nginx/access.log /var/log/nginx/access.log.{round}
                     nginx -s reopen; sleep 0.2; gzip /var/log/nginx/access.log.{round}; tail -2 /var/log/nginx/error.log; ls /var/log/nginx | wc -l"
                ),
            };
            steps.push(Box::new(move || drop(self.exec(&script))));
        }
        let count = steps.len();
        for at in 0..count {
            steps[(at + round) % count]();
        }
    }

    /// Code of an attacker comes in as it would: through the hole of the application, as a job, or through the engine. Which way
    /// that is.
    pub fn attack(self, name: &str, script: &str, queue: &Path) -> &'static str {
        match self {
            Self::Shop => {
                self.post("/convert.php", script);
                "a child of php"
            }
            Self::Api => match python(script) {
                Some(code) => {
                    self.post("/formula", &code);
                    "in python itself"
                }
                None => {
                    let code =
                        format!("import subprocess; subprocess.run(['bash', '-ec', {script:?}])");
                    self.post("/formula", &code);
                    "a child of python"
                }
            },
            Self::Jobs => {
                job(queue, &format!("attack-{name}"), script);
                "a job of the shell"
            }
            Self::Store | Self::Web => {
                self.exec(script);
                "docker exec"
            }
        }
    }
}

/// The classic: redis is told to save its data as a file of jobs.
pub fn attack_by_redis() -> &'static str {
    let set = "SET x \"\\n* * * * * root /tmp/.x\\n\"";
    let text = format!(
        "{set}\r\nCONFIG SET dir /etc/cron.d\r\nCONFIG SET dbfilename sysstat\r\nSAVE\r\nCONFIG SET dir /data\r\nCONFIG SET dbfilename dump.rdb\r\n"
    );
    Service::Store.send(text.as_bytes());
    "by redis itself"
}

/// What of a script is given to python, if that is all.
fn python(script: &str) -> Option<String> {
    let code = script.trim().strip_prefix("python3 - <<'END'\n")?.strip_suffix("END")?;
    Some(code.to_owned())
}

/// Has a job done, and waits until it is.
fn job(queue: &Path, name: &str, script: &str) {
    let (new, there) = (queue.join(format!("{name}.new")), queue.join(format!("{name}.job")));
    fs::write(&new, script).unwrap();
    fs::rename(&new, &there).unwrap();
    until("a job is done", || !there.exists());
}

/// The image of all of them.
pub fn image() {
    let label = format!("LABEL {PREFIX}=1");
    docker(&["import", "--change", &label, corpus_image().to_str().unwrap(), BASE]);
    let maker = format!("{PREFIX}-maker");
    docker(&["create", "--label", PREFIX, "--name", &maker, BASE, "true"]);
    let folder = tempfile::tempdir().unwrap();
    let files = [
        ("index.php", "srv/shop/index.php"),
        ("order.php", "srv/shop/order.php"),
        ("convert.php", "srv/shop/convert.php"),
        ("api.py", "srv/api/api.py"),
        ("worker.sh", "srv/jobs/worker.sh"),
    ];
    for empty in ["srv/jobs/done", "srv/jobs/queue", "srv/shop/orders", "data"] {
        fs::create_dir_all(folder.path().join(empty)).unwrap();
    }
    for (file, place) in files {
        let place = folder.path().join(place);
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        fs::copy(repository().join("tests/profiled").join(file), &place).unwrap();
        fs::set_permissions(&place, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    }
    docker(&["cp", &format!("{}/.", folder.path().display()), &format!("{maker}:/")]);
    docker(&["commit", "--change", &label, &maker, IMAGE]);
    docker(&["rm", "--force", &maker]);
}

/// Containers, images and the network are gone when the test ends.
pub struct Gone;

impl Drop for Gone {
    fn drop(&mut self) {
        let run = |words: &[&str]| {
            let done = Command::new("docker").args(words).output();
            done.map(|done| String::from_utf8_lossy(&done.stdout).into_owned()).unwrap_or_default()
        };
        let label = format!("label={PREFIX}");
        for id in run(&["ps", "--all", "--quiet", "--filter", &label]).lines() {
            run(&["rm", "--force", "--volumes", id]);
        }
        run(&["network", "rm", PREFIX]);
        for id in run(&["images", "--quiet", "--filter", &label]).lines() {
            run(&["rmi", "--force", id]);
        }
    }
}
