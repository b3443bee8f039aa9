// Part of Cairn, a content-addressed blob store.

package import CairnCore
package import CairnIndex
package import CairnSegments

/// What a store stands on: real by default, simulated in tests.
package struct StoreSeams: Sendable {
    /// The store's directory.
    package var disk: any Disk
    /// Opens the index, given its tables, or makes one if it may.
    package var openIndex: @Sendable ([IndexTable], _ create: Bool) throws(IndexError) -> any Index
    /// Opens an empty index beside the one that the store has.
    package var openNewIndex: @Sendable ([IndexTable]) throws(IndexError) -> any Index
    /// Puts that one, closed by now, in place of the other, durably; the other is kept aside.
    package var installNewIndex: @Sendable () throws(DiskError) -> Void
    /// Removes a new index that is not going to be installed, as far as that is possible.
    package var discardNewIndex: @Sendable () -> Void
    package var clock: any StoreClock
    package var random: any RandomSource
    package var segments: SegmentConfiguration

    /// Names the parts.
    package init(
        disk: any Disk,
        openIndex:
            @escaping @Sendable ([IndexTable], _ create: Bool) throws(IndexError) -> any Index,
        openNewIndex: @escaping @Sendable ([IndexTable]) throws(IndexError) -> any Index,
        installNewIndex: @escaping @Sendable () throws(DiskError) -> Void,
        discardNewIndex: @escaping @Sendable () -> Void,
        clock: any StoreClock, random: any RandomSource, segments: SegmentConfiguration
    ) {
        self.disk = disk
        self.openIndex = openIndex
        self.openNewIndex = openNewIndex
        self.installNewIndex = installNewIndex
        self.discardNewIndex = discardNewIndex
        self.clock = clock
        self.random = random
        self.segments = segments
    }
}
