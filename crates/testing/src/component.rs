//! A component that is started again when it has crashed.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::faults::Faults;

/// A component under [`Faults`]; it ends when this is dropped.
#[derive(Debug)]
pub struct Component(JoinHandle<()>);

/// One life of a component: all its transports fall silent when it crashes.
#[derive(Clone, Debug)]
pub struct Life {
    pub(crate) component: Arc<str>,
    pub(crate) faults: Faults,
    pub(crate) crashed: Arc<watch::Sender<bool>>,
}

impl Component {
    /// Runs what `start` makes, and makes it anew whenever a fault has made it crash, a while later.
    pub fn run<F: Future<Output = ()> + Send + 'static>(
        faults: &Faults,
        name: &str,
        start: impl Fn(Life) -> F + Send + 'static,
    ) -> Self {
        let (faults, component): (Faults, Arc<str>) = (faults.clone(), name.into());
        Self(tokio::spawn(async move {
            loop {
                let life = Life::new(&faults, &component);
                let mut crashed = life.crashed.subscribe();
                tokio::select! {
                    biased;
                    // The sender lives in the future beside this one.
                    _ = crashed.wait_for(|crashed| *crashed) => {}
                    () = start(life) => {}
                }
                let pause = faults.pause_after_crash();
                faults.story().tell(format_args!("{component} has crashed and starts again in {pause:?}"));
                tokio::time::sleep(pause).await;
            }
        }))
    }
}

impl Drop for Component {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Life {
    fn new(faults: &Faults, component: &Arc<str>) -> Self {
        Self { component: component.clone(), faults: faults.clone(), crashed: Arc::new(watch::Sender::new(false)) }
    }

    /// A life that no fault ends: a user's.
    pub fn immortal(faults: &Faults, component: &str) -> Self {
        let life = Self::new(faults, &component.into());
        Self { component: format!("{component}!").into(), ..life }
    }

    pub(crate) fn is_mortal(&self) -> bool {
        !self.component.ends_with('!')
    }

    /// Ends this life at this point: the caller never comes back.
    pub(crate) async fn crash(&self) -> ! {
        self.crashed.send_replace(true);
        std::future::pending().await
    }

    pub(crate) fn is_over(&self) -> bool {
        *self.crashed.borrow()
    }
}
