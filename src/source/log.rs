//! `log` records, straight from the borrowed record.

use std::error::Error;

use log::kv::{self, VisitSource, VisitValue};
use log::{Level, Record};

use super::buffers::Location;
use super::fields;
use super::pipeline::Source;
use crate::console::{Printed, Terminal};
use crate::otlp::{RecordWriter, ValueWriter, write_serde};

impl Source for Record<'_> {
    fn target(&self) -> &str {
        self.target()
    }

    fn level(&self) -> Level {
        self.level()
    }

    fn text(&self) -> Option<String> {
        Some(self.args().to_string())
    }

    fn print(&self, terminal: &Terminal) -> Printed {
        terminal.print(self)
    }

    fn location(&self) -> Location<'_> {
        Location { file: self.file(), line: self.line(), lasting: self.file_static().is_some() }
    }

    fn write(&self, writer: &mut RecordWriter<'_>) {
        writer.body(*self.args());
        // The visitor returns no errors; one that a source returns leaves the pairs before it.
        let _kept = self.key_values().visit(&mut Pairs(writer));
    }
}

struct Pairs<'a, 'b>(&'a mut RecordWriter<'b>);

impl<'kvs> VisitSource<'kvs> for Pairs<'_, '_> {
    fn visit_pair(&mut self, key: kv::Key<'kvs>, value: kv::Value<'kvs>) -> Result<(), kv::Error> {
        match value.to_borrowed_error() {
            Some(error) => fields::error(self.0, key.as_str(), error),
            None => self.0.attribute(key.as_str(), |writer| {
                let _infallible = value.visit(Typed(Some(writer)));
            }),
        }
        Ok(())
    }
}

/// Writes one value with the type the facade knows.
struct Typed<'a>(Option<ValueWriter<'a>>);

macro_rules! typed {
    ($($method:ident($type:ty) => $writer:ident),+ $(,)?) => {
        $(fn $method(&mut self, value: $type) -> Result<(), kv::Error> {
            if let Some(writer) = self.0.take() {
                writer.$writer(value);
            }
            Ok(())
        })+
    };
}

impl<'v> VisitValue<'v> for Typed<'_> {
    typed! {
        visit_bool(bool) => bool,
        visit_f64(f64) => double,
        visit_i64(i64) => int,
        visit_i128(i128) => wide,
        visit_str(&str) => str,
        visit_u64(u64) => wide,
        visit_u128(u128) => wide,
    }

    /// Captured by serde, sval, `Debug` or `Display`: serialising knows them all.
    fn visit_any(&mut self, value: kv::Value<'_>) -> Result<(), kv::Error> {
        if let Some(writer) = self.0.take() {
            write_serde(&value, writer);
        }
        Ok(())
    }

    fn visit_null(&mut self) -> Result<(), kv::Error> {
        self.0 = None;
        Ok(())
    }

    fn visit_error(&mut self, error: &(dyn Error + 'static)) -> Result<(), kv::Error> {
        if let Some(writer) = self.0.take() {
            writer.display(&error);
        }
        Ok(())
    }

    fn visit_borrowed_error(&mut self, error: &'v (dyn Error + 'static)) -> Result<(), kv::Error> {
        self.visit_error(error)
    }
}
