//! What the monitor shows on stdout: a line for each alert, action and event, for people or as JSON.

use std::sync::Arc;

use haechi_monitor::watch::Shown;
use tokio::sync::oneshot;

use crate::args::AlertFormat;
use crate::commands::lines;
use crate::output;
use crate::setting::Setting;

/// Writes what is shown; tells `stop` when nobody reads it.
pub fn show(
    format: AlertFormat,
    setting: &Arc<Setting>,
    stop: oneshot::Sender<()>,
) -> Box<dyn FnMut(Shown<'_>) + Send> {
    let setting = Arc::clone(setting);
    let mut stop = Some(stop);
    Box::new(move |shown| {
        let (at, text, json) = match shown {
            Shown::Alert(alert, kept) => {
                if !kept {
                    setting.note("monitor-not-kept", &[("rule", &alert.rule)]);
                }
                (alert.at, lines::alert(alert), serde_json::to_string(alert))
            }
            Shown::Action(action) => {
                let line = format!("→ {}", lines::action(action, &setting));
                (action.at, line, serde_json::to_string(action))
            }
            Shown::Event(line) => (line.at, lines::event(line), serde_json::to_string(line)),
        };
        let written = output::stdout(|out| match format {
            AlertFormat::Text => Ok(writeln!(out, "{}  {text}", at.strftime("%H:%M:%S%.3f"))?),
            AlertFormat::Json => Ok(writeln!(out, "{}", json?)?),
        });
        if written.is_err()
            && let Some(stop) = stop.take()
        {
            let _ = stop.send(());
        }
    })
}
