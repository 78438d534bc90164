//! Values for the parameters of statements, and what statements return.

use std::sync::Arc;

use arrow_array::builder::{Int32Builder, ListBuilder, StringBuilder, TimestampMicrosecondBuilder};
use arrow_array::cast::AsArray as _;
use arrow_array::types::{Int32Type, Int64Type};
use arrow_array::{Array, ArrayRef, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow_schema::{ArrowError, Field, Schema};

use super::error::unexpected;
use crate::event::{EventId, Timestamp};
use crate::store::StoreError;
use crate::store::sql::BindValue;

/// A value of a parameter. Times go as `TIMESTAMP` without a zone, so that no session's zone changes them.
#[derive(Debug)]
pub(super) enum Value {
    Text(String),
    Integer(i32),
    Number(i64),
    Time(Timestamp),
    /// A list, whose items `unnest` makes rows of.
    Texts(Vec<Option<String>>),
    Integers(Vec<Option<i32>>),
    Times(Vec<Timestamp>),
    TextLists(Vec<Vec<String>>),
}

impl Value {
    /// An id, as text that a comparison with a `UUID` takes.
    pub(super) fn id(id: EventId) -> Self {
        Self::Text(id.to_hex().as_str().to_owned())
    }

    /// A list of ids; see [`id`](Self::id).
    pub(super) fn ids(ids: impl IntoIterator<Item = EventId>) -> Self {
        Self::Texts(ids.into_iter().map(|id| Some(id.to_hex().as_str().to_owned())).collect())
    }

    fn into_array(self) -> ArrayRef {
        match self {
            Self::Text(text) => Arc::new(StringArray::from(vec![text])),
            Self::Integer(integer) => Arc::new(Int32Array::from(vec![integer])),
            Self::Number(number) => Arc::new(Int64Array::from(vec![number])),
            Self::Time(time) => Arc::new(TimestampMicrosecondArray::from(vec![time.as_micros()])),
            Self::Texts(texts) => {
                let mut list = ListBuilder::new(StringBuilder::new());
                texts.iter().for_each(|text| list.values().append_option(text.as_deref()));
                list.append(true);
                Arc::new(list.finish())
            }
            Self::Integers(integers) => {
                let mut list = ListBuilder::new(Int32Builder::new());
                integers.into_iter().for_each(|integer| list.values().append_option(integer));
                list.append(true);
                Arc::new(list.finish())
            }
            Self::Times(times) => {
                let mut list = ListBuilder::new(TimestampMicrosecondBuilder::new());
                times.into_iter().for_each(|time| list.values().append_value(time.as_micros()));
                list.append(true);
                Arc::new(list.finish())
            }
            Self::TextLists(lists) => {
                let mut all = ListBuilder::new(ListBuilder::new(StringBuilder::new()));
                for list in lists {
                    list.iter().for_each(|text| all.values().values().append_value(text));
                    all.values().append(true);
                }
                all.append(true);
                Arc::new(all.finish())
            }
        }
    }
}

impl From<BindValue> for Value {
    fn from(value: BindValue) -> Self {
        match value {
            BindValue::Text(text) => Self::Text(text),
            BindValue::Integer(integer) => Self::Integer(integer),
            BindValue::Timestamp(time) => Self::Time(time),
            BindValue::Id(id) => Self::id(id),
        }
    }
}

/// The one row of the values of a statement's parameters.
pub(super) fn row_of(values: Vec<Value>) -> Result<RecordBatch, ArrowError> {
    let arrays: Vec<ArrayRef> = values.into_iter().map(Value::into_array).collect();
    let fields: Vec<Field> = (1..)
        .zip(&arrays)
        .map(|(number, array)| Field::new(format!("p{number}"), array.data_type().clone(), true))
        .collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)
}

/// The rows that a statement returned.
#[derive(Debug)]
pub(super) struct Rows(Vec<RecordBatch>);

impl Rows {
    pub(super) fn new(batches: Vec<RecordBatch>) -> Self {
        Self(batches)
    }

    /// Goes through the rows.
    pub(super) fn iter(&self) -> impl Iterator<Item = Row<'_>> {
        self.0.iter().flat_map(|batch| (0..batch.num_rows()).map(move |row| Row { batch, row }))
    }

    /// Returns the only number that a statement returned: a count, or the number of rows that it changed.
    pub(super) fn number(&self, doing: &'static str) -> Result<u64, StoreError> {
        let row = self.iter().next().ok_or_else(|| unexpected(doing))?;
        Ok(row.number(0, doing)?.and_then(|number| u64::try_from(number).ok()).unwrap_or(0))
    }
}

/// One of the rows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row<'a> {
    batch: &'a RecordBatch,
    row: usize,
}

impl<'a> Row<'a> {
    /// The text of a column; none where it is null.
    pub(super) fn text(&self, column: usize, doing: &'static str) -> Result<Option<&'a str>, StoreError> {
        let array = self.column(column, doing)?;
        let texts = array.as_string_opt::<i32>().ok_or_else(|| unexpected(doing))?;
        Ok((!texts.is_null(self.row)).then(|| texts.value(self.row)))
    }

    /// The integer of a column; none where it is null.
    pub(super) fn number(&self, column: usize, doing: &'static str) -> Result<Option<i64>, StoreError> {
        let array = self.column(column, doing)?;
        if array.is_null(self.row) {
            return Ok(None);
        }
        if let Some(numbers) = array.as_primitive_opt::<Int64Type>() {
            return Ok(Some(numbers.value(self.row)));
        }
        let integers = array.as_primitive_opt::<Int32Type>().ok_or_else(|| unexpected(doing))?;
        Ok(Some(i64::from(integers.value(self.row))))
    }

    /// The list of texts of a column; none where it is null.
    pub(super) fn texts(&self, column: usize, doing: &'static str) -> Result<Option<Vec<Option<String>>>, StoreError> {
        let array = self.column(column, doing)?;
        if array.is_null(self.row) {
            return Ok(None);
        }
        let list = array.as_list_opt::<i32>().ok_or_else(|| unexpected(doing))?.value(self.row);
        let texts = list.as_string_opt::<i32>().ok_or_else(|| unexpected(doing))?;
        Ok(Some(texts.iter().map(|text| text.map(str::to_owned)).collect()))
    }

    /// The id of a column of `UUID`s.
    pub(super) fn id(&self, column: usize, doing: &'static str) -> Result<EventId, StoreError> {
        let text = self.text(column, doing)?.ok_or_else(|| unexpected(doing))?;
        text.parse().map_err(|_| unexpected(doing))
    }

    fn column(&self, column: usize, doing: &'static str) -> Result<&'a ArrayRef, StoreError> {
        self.batch.columns().get(column).ok_or_else(|| unexpected(doing))
    }
}
