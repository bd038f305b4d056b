//! One seed: a world is made, users and faults have their time, then the faults stop and everything must come to rest as it should be.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::time::Instant;
use windlass_api::resource::CONFIG_MAPS;
use windlass_testing::repeatable::seed_thread;
use windlass_testing::{Cluster, Dice, History};

use crate::users::Users;
use crate::world::World;
use crate::{always, finally};

/// How long it may take until everything has come to rest, after the last fault.
const PATIENCE: Duration = Duration::from_secs(3600);
/// Nothing has changed for this long: it is at rest. Longer than the pauses of those who look again by themselves.
const QUIET: Duration = Duration::from_secs(100);

/// Runs a seed; returns a digest of every change that there was. The error is its story.
pub(crate) fn run(base: &Cluster, runtime: &Runtime, seed: u64) -> Result<u64, String> {
    seed_thread(seed);
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
            return Ok(digest(&world.history));
        }
        Err(format!("the story of seed {seed}:\n{}what is wrong:\n  {}", world.story, problems.join("\n  ")))
    })
}

/// A digest of every change. ConfigMaps hold the certificate of an authority whose key is never the same; of them only the names count.
fn digest(history: &History) -> u64 {
    let mut hasher = DefaultHasher::new();
    for record in history.records() {
        (record.revision, &record.resource, &record.key).hash(&mut hasher);
        if record.resource != CONFIG_MAPS {
            record.json.hash(&mut hasher);
        }
    }
    hasher.finish()
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
