//! Key-values for env_logger's formatter without those that nest without end: it follows a value by calling itself, and the
//! stack of the thread that logs would end it, and with it the process.

use std::error::Error;

use log::kv::{self, Key, Source, Value, VisitSource, VisitValue};

use crate::otlp::{TOO_DEEP, nests_deeper};

/// Far more than anybody reads on a line, and far less than a stack holds.
const LEVELS: u8 = 100;

/// The pairs of a record, each value as it is or a text that says that it nests too deep.
pub(super) struct Shallow<'a>(pub(super) &'a dyn Source);

impl Source for Shallow<'_> {
    fn visit<'kvs>(&'kvs self, visitor: &mut dyn VisitSource<'kvs>) -> Result<(), kv::Error> {
        self.0.visit(&mut Pairs(visitor))
    }

    fn get(&self, key: Key<'_>) -> Option<Value<'_>> {
        self.0.get(key).map(shallow)
    }

    fn count(&self) -> usize {
        self.0.count()
    }
}

struct Pairs<'a, 'kvs>(&'a mut dyn VisitSource<'kvs>);

impl<'kvs> VisitSource<'kvs> for Pairs<'_, 'kvs> {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), kv::Error> {
        self.0.visit_pair(key, shallow(value))
    }
}

fn shallow(value: Value<'_>) -> Value<'_> {
    let mut may_nest = MayNest(false);
    let _infallible = value.visit(&mut may_nest);
    if may_nest.0 && nests_deeper(&value, LEVELS) { Value::from(TOO_DEEP) } else { value }
}

/// Whether it is a value of some type of the application's own; of those with a type the facade knows, none nests.
struct MayNest(bool);

macro_rules! flat {
    ($($method:ident($type:ty)),+ $(,)?) => {
        $(fn $method(&mut self, _value: $type) -> Result<(), kv::Error> {
            Ok(())
        })+
    };
}

impl<'v> VisitValue<'v> for MayNest {
    flat! {
        visit_bool(bool),
        visit_char(char),
        visit_f64(f64),
        visit_i64(i64),
        visit_i128(i128),
        visit_str(&str),
        visit_u64(u64),
        visit_u128(u128),
        visit_error(&(dyn Error + 'static)),
        visit_borrowed_error(&'v (dyn Error + 'static)),
    }

    fn visit_any(&mut self, _value: Value<'_>) -> Result<(), kv::Error> {
        self.0 = true;
        Ok(())
    }
}
