//! One seed: a world is made, users and faults have their time, then the faults stop and everything must come to rest as it should be.

use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::time::Instant;
use windlass_testing::hash_keys::seed_thread;
use windlass_testing::{Cluster, Dice};

use crate::users::Users;
use crate::world::World;
use crate::{always, finally};

/// How long it may take until everything has come to rest, after the last fault.
const PATIENCE: Duration = Duration::from_secs(3600);
/// Nothing has changed for this long: it is at rest. Longer than the pauses of those who look again by themselves.
const QUIET: Duration = Duration::from_secs(100);

pub(crate) fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()
}

/// Runs a seed; returns every change that there was, one a line. The error is its story.
pub(crate) fn run(base: &Cluster, seed: u64) -> Result<String, String> {
    seed_thread(seed);
    let runtime = runtime();
    runtime.block_on(async {
        let dice = Dice::new(seed);
        let cluster = base.fork(&dice);
        let mut world = World::start(cluster, &dice).await;
        let mut users = Users::new(&world, dice.fork());
        users.work(&mut world).await;
        world.heal(&dice).await;
        let mut problems = come_to_rest(&world).await;
        problems.extend(always::problems(&world));
        if problems.is_empty() {
            return Ok(world.history.to_string());
        }
        Err(format!("the story of seed {seed}:\n{}what is wrong:\n  {}", world.story, problems.join("\n  ")))
    })
}

/// Waits until everything is at rest; what is not as it should be then, or goes on for ever.
async fn come_to_rest(world: &World) -> Vec<String> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if !world.history.quiet(QUIET, deadline).await {
            let mut problems = finally::problems(world).await;
            problems.push(format!("it does not come to rest; the last changes: {}", world.last_changes()));
            return problems;
        }
        let problems = finally::problems(world).await;
        if problems.is_empty() || !world.history.changes_before(deadline).await {
            return problems;
        }
    }
}
