//! Which question is answered where. Who may ask was decided before ([`crate::accounts`]).

use haechi_protocol::{Answered, Ask, Asked, Refusal};
use serde_json::Value;

use crate::accounts::Caller;
use crate::{Desk, unavailable};

macro_rules! answers {
    ($desk:ident, $caller:ident, $ask:ident, { $($name:ident => $($path:ident)::+,)+ }) => {
        match $ask {
            $(Ask::$name(question) => {
                let answer = $($path)::+($desk, $caller, question).await?;
                serde_json::to_value(answer).map_err(unavailable)
            })+
        }
    };
}

impl Desk {
    /// Answers a question, if whoever asks may ask it; what changes something is on record before it is done.
    pub async fn answer(&self, asked: Asked) -> Answered {
        let Asked { id, credential, address, ask } = asked;
        let answering = async {
            let caller = self.accounts.admit(&credential, &address, ask.route()).await?;
            self.accounts.deed(&caller, &ask, self.dispatch(&caller, &ask)).await
        };
        Answered { id, answer: answering.await }
    }

    /// The answer to a question of somebody who may ask it.
    pub(crate) async fn dispatch(&self, caller: &Caller, ask: &Ask) -> Result<Value, Refusal> {
        use crate::{accounts, alerts, checklist, containers, deeds, exceptions, images};
        use crate::{jobs, overview, period, profiles, search, settings};
        let desk = self;
        answers!(desk, caller, ask, {
            Login => accounts::login,
            Who => accounts::who,
            Logout => accounts::logout,
            ChangePassword => accounts::change_password,
            Overview => overview::overview,
            ListVerifications => overview::verifications,
            Verify => jobs::verify,
            ListBenchmarks => checklist::benchmarks,
            ListItems => checklist::items,
            ShowItem => checklist::item,
            ListExceptions => exceptions::list,
            Accept => exceptions::accept,
            Withdraw => exceptions::withdraw,
            ListImages => images::list,
            ShowImage => images::show,
            ScanImage => jobs::scan,
            ListContainers => containers::list,
            ShowContainer => containers::show,
            Act => deeds::act,
            ListProfiles => profiles::list,
            ShowProfile => profiles::show,
            MakeFile => profiles::make,
            ListAlerts => alerts::list,
            ShowAlert => alerts::show,
            ListActions => alerts::actions,
            ListActivity => alerts::activity,
            News => alerts::news,
            Search => search::search,
            ListJobs => jobs::list,
            ShowDatabase => settings::database,
            UpdateDatabase => jobs::update,
            ListAudit => accounts::list_audit,
            Report => period::report,
            ListAccounts => accounts::list,
            AddAccount => accounts::add,
            ChangeAccount => accounts::change,
            RemoveAccount => accounts::remove,
            ListTokens => accounts::tokens,
            AddToken => accounts::add_token,
            RemoveToken => accounts::remove_token,
            ShowSettings => settings::settings,
        })
    }
}
