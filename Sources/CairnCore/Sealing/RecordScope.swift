// Part of Cairn, a content-addressed blob store.

/// Where a record belongs; it opens nowhere else.
package struct RecordScope: Hashable, Sendable {
    /// The store.
    package var storeID: Octets16

    /// The deduplication domain or the bucket, or zeros for what belongs to the store itself.
    package var ownerID: Octets16

    /// A scope.
    package init(storeID: Octets16, ownerID: Octets16) {
        self.storeID = storeID
        self.ownerID = ownerID
    }
}
