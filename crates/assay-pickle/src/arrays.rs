//! Arrays of numpy: the states that pickles give them.

use crate::machine::Machine;
use crate::value::{ArrayState, Id, Object};
use crate::{Reading, damaged};

impl<'b> Machine<'b> {
    /// (version, shape, dtype, is Fortran's order, data)
    pub(crate) fn array_state(&self, state: Id) -> Reading<Object<'b>> {
        let Object::Tuple(state) = self.object(state) else { return Err(damaged()) };
        let [_, shape, dtype, is_fortran, data] = state[..] else { return Err(damaged()) };
        let Object::Bool(is_fortran) = self.object(is_fortran) else { return Err(damaged()) };
        self.array(shape, dtype, *is_fortran, data)
    }

    /// An array; without a state, if it is one of objects, and foreign, if its numbers are of a type of another library.
    pub(crate) fn array(&self, shape: Id, dtype: Id, is_fortran: bool, data: Id) -> Reading<Object<'b>> {
        let elements = match self.object(dtype) {
            Object::Dtype(elements) => elements.clone(),
            _ if self.is_unread(dtype) => return Ok(Object::Foreign(dtype)),
            _ => return Err(damaged()),
        };
        let is_numbers = matches!(self.object(data), Object::Bytes(_));
        let state = ArrayState { shape: self.sizes(shape)?, dtype: elements, is_fortran, data };
        Ok(Object::Array(is_numbers.then(|| Box::new(state))))
    }
}
