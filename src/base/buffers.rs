//! The shard's pool of receive and send buffers.
//!
//! A buffer is a plain `Vec<u8>` of one fixed capacity. It is lent to a
//! connection while bytes are under way and given back when the connection
//! rests, so memory follows the work and not the number of connections. The
//! pool is last in, first out: the buffer used last is the one in the cache.

/// Free buffers, at most `kept_max` of them.
#[derive(Debug)]
pub struct Buffers {
    free: Vec<Vec<u8>>,
    capacity: usize,
    kept_max: usize,
}

impl Buffers {
    /// `capacity` is in bytes.
    #[must_use]
    pub fn new(capacity: usize, kept_max: usize) -> Self {
        Self { free: Vec::new(), capacity, kept_max }
    }

    /// An empty buffer of the pool's capacity.
    #[must_use]
    pub fn lend(&mut self) -> Vec<u8> {
        self.free.pop().unwrap_or_else(|| Vec::with_capacity(self.capacity))
    }

    /// Takes a buffer back. One that has grown, or that is too many, is
    /// freed, so that a burst does not keep its memory for ever.
    pub fn give_back(&mut self, mut buffer: Vec<u8>) {
        let capacity = buffer.capacity();
        // An allocator may round a capacity up, never to twice its size.
        let ours = capacity >= self.capacity && capacity < 2 * self.capacity;
        if ours && self.free.len() < self.kept_max {
            buffer.clear();
            self.free.push(buffer);
        }
    }

    #[must_use]
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Frees what a quiet shard does not need; all but `keep` go.
    pub fn trim(&mut self, keep: usize) {
        self.free.truncate(keep);
    }

    #[must_use]
    pub fn free_count(&self) -> usize {
        self.free.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_returned_buffer_is_lent_again_empty() {
        let mut pool = Buffers::new(1024, 4);
        let mut buffer = pool.lend();
        buffer.extend_from_slice(b"secret");
        let address = buffer.as_ptr();
        pool.give_back(buffer);
        let again = pool.lend();
        assert_eq!((again.len(), again.as_ptr()), (0, address));
    }

    #[test]
    fn grown_and_surplus_buffers_are_freed() {
        let mut pool = Buffers::new(1024, 1);
        pool.give_back(Vec::with_capacity(1 << 20));
        assert_eq!(pool.free_count(), 0);
        pool.give_back(Vec::with_capacity(1024));
        pool.give_back(Vec::with_capacity(1024));
        assert_eq!(pool.free_count(), 1);
    }
}
