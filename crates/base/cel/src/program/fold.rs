//! Folds: what macros over lists and maps became.

use super::node::Fold;
use super::run::{Local, Machine};
use crate::error::Error;
use crate::value::Value;

type Outcome<'a> = Result<Value<'a>, Error>;

impl<'a> Machine<'a> {
    pub(super) fn fold(&mut self, fold: &'a Fold) -> Outcome<'a> {
        let range = self.node(&fold.range)?;
        self.set(fold.local, Local::Lazy(&fold.init));
        match &range {
            Value::List(list) => {
                for index in 0..list.len() {
                    let value = list.get(index).unwrap_or(Err(Error::NoSuchOverload));
                    let keep = if fold.two_variables {
                        self.entry(fold, Ok(Value::Int(index as i64)), value)?
                    } else {
                        self.entry(fold, value, Ok(Value::Null))?
                    };
                    if !keep {
                        break;
                    }
                }
            }
            Value::Map(map) => {
                for key in map.keys() {
                    let value = if fold.two_variables {
                        map.find(&key).unwrap_or_else(|| Err(Error::NoSuchKey(key.to_string())))
                    } else {
                        Ok(Value::Null)
                    };
                    if !self.entry(fold, Ok(key), value)? {
                        break;
                    }
                }
            }
            other => {
                let of = other.implementation_name();
                return Err(Error::Argument(if fold.two_variables {
                    format!("unsupported comprehension range type: {of}")
                } else {
                    format!("got '{of}', expected iterable type")
                }));
            }
        }
        self.node(&fold.result)
    }

    /// Takes one element in; returns whether there may be more.
    fn entry(&mut self, fold: &'a Fold, first: Outcome<'a>, second: Outcome<'a>) -> Result<bool, Error> {
        self.set(fold.local + 1, Local::Known(first));
        if fold.two_variables {
            self.set(fold.local + 2, Local::Known(second));
        }
        match self.node(&fold.condition) {
            Ok(Value::Bool(false)) => return Ok(false),
            Err(error) if error.is_final() => return Err(error),
            // What is no answer does not end the fold.
            _ => {}
        }
        let step = self.node(&fold.step);
        if let Err(error) = &step
            && error.is_final()
        {
            return Err(error.clone());
        }
        self.set(fold.local, Local::Known(step));
        Ok(true)
    }
}
