//! The web server's process: takes its order, shuts itself in, serves.

use std::io;
use std::net::TcpListener;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::thread::available_parallelism;

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::house::House;
use crate::order::Order;
use crate::{app, connections, line, sandbox};

/// Threads that answer requests.
const THREADS: usize = 4;

/// Takes the order from the line to the desk (stdin) and the listener (stdout). Both standard descriptors lead nowhere
/// after that, and no other stays open but stderr. To be called before anything else is opened.
///
/// # Errors
/// They are not what they should be: the process was not started by the desk.
pub fn receive() -> anyhow::Result<(Order, UnixStream, TcpListener)> {
    close_others()?;
    let mut line = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    let listener = TcpListener::from(io::stdout().as_fd().try_clone_to_owned()?);
    let order = Order::receive(&mut line).context("this command is for haechi serve alone")?;
    listener.local_addr().context("no listener")?;
    let null = std::fs::OpenOptions::new().read(true).write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    Ok((order, line, listener))
}

/// Closes what was inherited beside the standard descriptors: whoever started the desk may have left something open that
/// leads out of the sandbox.
fn close_others() -> io::Result<()> {
    let names: Vec<_> = std::fs::read_dir("/proc/self/fd")?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok())
        .collect();
    for descriptor in names.into_iter().filter(|descriptor| *descriptor > 2) {
        match nix::unistd::close(descriptor) {
            // The folder that was just listed is closed already.
            Ok(()) | Err(nix::Error::EBADF) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Shuts the process in and serves until the line to the desk closes, or SIGTERM or SIGINT comes. To be called before
/// there is a second thread.
///
/// # Errors
/// The sandbox does not hold, or certificate or key are not what they should be.
pub fn run(order: &Order, line: UnixStream, listener: TcpListener) -> anyhow::Result<()> {
    let tls = connections::tls(&order.certificate, &order.key)?;
    let threads = available_parallelism().map_or(1, |cores| cores.get().min(THREADS));
    line.set_nonblocking(true)?;
    connections::prepare(&listener)?;
    sandbox::enter(order.user, order.limits.connections)?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let (desk, closed) = line::over(tokio::net::UnixStream::from_std(line)?);
        let stop = CancellationToken::new();
        let house = House::new(order.hosts.clone(), order.limits, stop.clone());
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let app = app(desk, house.clone());
        tokio::spawn(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
                () = closed.cancelled() => {}
            }
            stop.cancel();
        });
        connections::serve(listener, tls, app, house).await;
        Ok(())
    })
}
