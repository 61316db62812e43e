//! The runs: what the subcommands start.

use crate::app::contacts::Book;
use crate::app::exit::{Exit, Failure};
use crate::app::keeper::Keeper;
use crate::app::options::{
    CallOptions, DemoOptions, Front, JoinOptions, ListenOptions, PartyOptions, RingOptions, Way,
};
use crate::app::{commands, demo as demonstration, headless, identity, party, screen, shutdown};
use crate::config::ViewSpec;
use crate::media::frame::{Size, Want};
use crate::media::seams::FrameSink;
use crate::media::sink::{self, null::Null};
use crate::node::Clock;
use crate::store::contacts::Contacts;
use std::sync::Arc;

/// Opens a call and waits for others.
pub fn call(options: CallOptions) -> Result<Exit, Failure> {
    party_run(&options.party, Way::Host)
}

/// Calls a contact.
pub fn ring(options: RingOptions) -> Result<Exit, Failure> {
    party_run(&options.party, Way::Ring(options.callee))
}

/// Waits for calls of contacts.
pub fn listen(options: ListenOptions) -> Result<Exit, Failure> {
    party_run(&options.party, Way::Listen { once: options.once })
}

/// Joins a call.
pub fn join(options: JoinOptions) -> Result<Exit, Failure> {
    party_run(&options.party, Way::Join(options.invite))
}

/// Ada and Ben call each other through Eve.
pub fn demo(options: DemoOptions) -> Result<Exit, Failure> {
    demonstration::run(&options)
}

fn party_run(options: &PartyOptions, way: Way) -> Result<Exit, Failure> {
    let own = identity::own(&options.base.paths)?;
    let first_run = identity::first_run_line(&options.base.paths, &own);
    let key = Arc::new(own.key);
    let contacts = Contacts::load(&options.base.paths.contacts).map_err(Failure::from)?;
    if options.front == Front::Screen {
        return screen::run(options, key, &contacts, way, first_run);
    }
    let aim = headless::Aim::of(&way);
    let view = view(options)?;
    let (trigger, stop) = shutdown::pair();
    shutdown::on_signals(trigger, || {}).map_err(|e| Failure::new(Exit::Bug, e))?;
    runtime()?.block_on(tokio::task::LocalSet::new().run_until(async {
        let mut party = party::assemble(options, key, &contacts, way, view, false)?;
        let commands = options.commands.then(commands::from_stdin).transpose();
        let commands = commands.map_err(|e| Failure::new(Exit::Bug, e))?;
        party.notes.splice(0..0, first_run);
        let keeper = keeper(options)?;
        let book = Book::new(options.base.paths.contacts.clone(), options.expect);
        let run = headless::Run { aim, front: options.front, commands, seconds: options.seconds };
        headless::run(party, (book, keeper), run, stop).await
    }))
}

/// The ledger's keeper; a file that exists is not written over.
pub fn keeper(options: &PartyOptions) -> Result<Keeper, Failure> {
    Keeper::to_file(options.ledger.as_deref()).map_err(|e| {
        Failure::new(Exit::Usage, format_args!("the ledger can't be kept: {e}"))
            .next("choose a file that does not exist yet")
    })
}

/// The runtime of transport and call: one thread.
pub fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| Failure::new(Exit::Bug, format_args!("cannot start the runtime: {e}")))
}

/// Where received pictures go when no screen shows them.
pub fn view(options: &PartyOptions) -> Result<Box<dyn FrameSink>, Failure> {
    let want = Want {
        size: options.media.tile.unwrap_or(Size::new(240, 144)),
        decifps: options.media.decifps.unwrap_or(300),
        max_kbps: 0,
        paused: options.media.view == ViewSpec::None && options.media.tile.is_none(),
        focus: false,
    };
    let opened = sink::open_view(&options.media.view, want, Clock::Real.now()).map_err(|e| {
        Failure::new(Exit::Usage, format_args!("cannot write {}: {e}", options.media.view))
            .next("choose a path that can be written")
    })?;
    // A terminal's view without a screen: nowhere.
    Ok(opened.unwrap_or_else(|| Box::new(Null::new(want))))
}

/// Plays a scenario.
pub fn suite(options: crate::app::options::SuiteOptions) -> Result<Exit, Failure> {
    crate::app::suite::run(options)
}

/// Plays a scenario.
pub fn loopback(options: crate::app::options::LoopbackOptions) -> Result<Exit, Failure> {
    crate::app::loopback::run(options)
}
