//! Where events go: how they are cut, buffered and delivered.

use std::sync::Arc;

use windlass_telemetry::Metrics;

use crate::batch::{BatchOptions, Batcher, Truncation};
use crate::event::{Event, Level};
use crate::sink::{Destination, Sink};

/// How an event that was cut says so.
const CUT: (&str, &str) = ("audit.k8s.io/truncated", "true");

/// When events are delivered.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Delivery {
    /// While the request waits; `strict` refuses a request whose arrival cannot be recorded.
    Blocking {
        strict: bool,
    },
    Batch(BatchOptions),
}

/// One destination of events.
pub struct Backend {
    sink: Arc<Sink>,
    truncation: Option<Truncation>,
    delivery: Delivered,
}

enum Delivered {
    AtOnce { strict: bool },
    Later(Batcher),
}

impl Backend {
    /// With [`Delivery::Batch`] a task of this runtime delivers.
    pub fn new(to: Destination, delivery: Delivery, truncation: Option<Truncation>, metrics: &Metrics) -> Self {
        let sink = Arc::new(Sink::new(to, metrics));
        let delivery = match delivery {
            Delivery::Blocking { strict } => Delivered::AtOnce { strict },
            Delivery::Batch(options) => Delivered::Later(Batcher::start(sink.clone(), options, truncation)),
        };
        Self { sink, truncation, delivery }
    }

    /// Records an event; returns whether the request may go on.
    pub(crate) async fn process(&self, event: &Event) -> bool {
        let Some(written) = self.fitting(event) else { return true };
        match &self.delivery {
            Delivered::AtOnce { strict } => self.sink.deliver(&[written]).await || !strict,
            Delivered::Later(batcher) => {
                if let Err(why) = batcher.take(written) {
                    self.sink.failed("buffered", 1, why);
                }
                true
            }
        }
    }

    /// The event as it is written, cut if it must be; `None` if it cannot be recorded.
    fn fitting(&self, event: &Event) -> Option<Vec<u8>> {
        let written = self.sink.written(event);
        let Some(Truncation { event_bytes_max, .. }) = self.truncation else {
            return written.map_err(|why| self.sink.failed(self.sink.name(), 1, &why)).ok();
        };
        let fits = |written: &Vec<u8>| written.len() <= event_bytes_max;
        let cut = match written {
            Ok(written) if fits(&written) => return Some(written),
            Ok(_) if event.level >= Level::Request => {
                let mut less = event.clone();
                (less.request_object, less.response_object) = (None, None);
                less.annotations.insert(CUT.0.to_owned(), CUT.1.to_owned());
                self.sink.written(&less)
            }
            other => other,
        };
        let too_large = || "event is too large even after truncating".to_owned();
        let cut = cut.and_then(|written| if fits(&written) { Ok(written) } else { Err(too_large()) });
        cut.map_err(|why| self.sink.failed("truncate", 1, &why)).ok()
    }

    /// Waits until what is in the buffer has been delivered.
    pub(crate) async fn flush(&self) {
        if let Delivered::Later(batcher) = &self.delivery {
            batcher.flush().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use bytes::Bytes;
    use parking_lot::Mutex;
    use serde_json::Value;
    use serde_json::value::RawValue;

    use super::*;
    use crate::batch::tests::options;
    use crate::event::tests::event;
    use crate::webhook::Webhook;

    /// Keeps what it gets; refuses the first lists.
    #[derive(Clone, Default)]
    pub(crate) struct Kept {
        lists: Arc<Mutex<Vec<Value>>>,
        broken: bool,
    }

    #[async_trait]
    impl Webhook for Kept {
        async fn send(&self, events: Bytes) -> Result<(), String> {
            if self.broken {
                return Err("no".to_owned());
            }
            self.lists.lock().push(serde_json::from_slice(&events).unwrap());
            Ok(())
        }
    }

    fn backend(kept: &Kept, delivery: Delivery, truncation: Option<Truncation>) -> (Backend, Metrics) {
        let metrics = Metrics::default();
        (Backend::new(Destination::Webhook(Box::new(kept.clone())), delivery, truncation, &metrics), metrics)
    }

    fn large() -> Event {
        let object = RawValue::from_string(format!("{:?}", "x".repeat(2000))).unwrap();
        Event { request_object: Some(object.into()), level: Level::Request, ..event() }
    }

    #[tokio::test]
    async fn large_events_lose_their_objects() {
        let kept = Kept::default();
        let of = |event_bytes_max| Some(Truncation { event_bytes_max, batch_bytes_max: 10_000 });
        let (narrow, _) = backend(&kept, Delivery::Blocking { strict: true }, of(1000));
        assert!(narrow.process(&large()).await);
        let item = kept.lists.lock()[0]["items"][0].clone();
        assert_eq!(item["annotations"]["audit.k8s.io/truncated"], "true");
        assert!(item.get("requestObject").is_none() && item.get("kind").is_none());
        let (narrower, metrics) = backend(&kept, Delivery::Blocking { strict: true }, of(100));
        assert!(narrower.process(&large()).await);
        assert_eq!(kept.lists.lock().len(), 1);
        let text = String::from_utf8(metrics.text().1).unwrap();
        assert!(text.contains("apiserver_audit_error_total{plugin=\"truncate\"} 1"), "{text}");
    }

    #[tokio::test]
    async fn only_strict_ones_stop_a_request() {
        let broken = Kept { broken: true, ..Kept::default() };
        assert!(!backend(&broken, Delivery::Blocking { strict: true }, None).0.process(&event()).await);
        assert!(backend(&broken, Delivery::Blocking { strict: false }, None).0.process(&event()).await);
    }

    #[tokio::test(start_paused = true)]
    async fn batches_are_full_or_late() {
        let kept = Kept::default();
        let (backend, _) = backend(&kept, Delivery::Batch(options()), None);
        for _ in 0..5 {
            assert!(backend.process(&event()).await);
        }
        backend.flush().await;
        let sizes = |kept: &Kept| -> Vec<usize> {
            kept.lists.lock().iter().map(|list| list["items"].as_array().unwrap().len()).collect()
        };
        assert_eq!(sizes(&kept), [2, 2, 1]);
        assert_eq!(kept.lists.lock()[0]["kind"], "EventList");
        backend.process(&event()).await;
        tokio::time::sleep(options().wait_max * 2).await;
        assert_eq!(sizes(&kept), [2, 2, 1, 1]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_buffer_has_no_room_for_is_lost() {
        let kept = Kept::default();
        let (backend, metrics) = backend(&kept, Delivery::Batch(BatchOptions { buffer: 3, ..options() }), None);
        for _ in 0..5 {
            assert!(backend.process(&event()).await);
        }
        backend.flush().await;
        let all: usize = kept.lists.lock().iter().map(|list| list["items"].as_array().unwrap().len()).sum();
        assert_eq!(all, 3);
        let text = String::from_utf8(metrics.text().1).unwrap();
        assert!(text.contains("apiserver_audit_error_total{plugin=\"buffered\"} 2"), "{text}");
    }

    #[tokio::test(start_paused = true)]
    async fn large_batches_are_sent_as_several() {
        let kept = Kept::default();
        let one = serde_json::to_vec(&event()).unwrap().len();
        let truncation = Truncation { event_bytes_max: one, batch_bytes_max: one };
        let (backend, _) = backend(&kept, Delivery::Batch(options()), Some(truncation));
        backend.process(&event()).await;
        backend.process(&event()).await;
        backend.flush().await;
        assert_eq!(kept.lists.lock().len(), 2);
    }
}
