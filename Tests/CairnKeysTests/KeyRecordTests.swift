// Part of Cairn, a content-addressed blob store.
import CairnCore
import Testing

@testable import CairnKeys

/// The plaintext of a key's record, with single bytes changed: only somebody with the root secret,
/// or another version of Cairn, could write such a one.
@Suite struct KeyRecordTests {
    private static let key = CustomerKey(
        createdAt: FixedClock().time, random: SeededRandom(seed: 1))

    private static var doomed: CustomerKey {
        var key = key
        key.state = .pendingDeletion(until: FixedClock().time + .seconds(7))
        return key
    }

    private func code(_ key: CustomerKey, changing changes: [Int: UInt8]) -> CoreError.Code? {
        var bytes = key.encoded.bytes
        for (offset, byte) in changes { bytes[offset] = byte }
        do throws(CoreError) {
            _ = try CustomerKey(decoding: bytes.span)
            return nil
        } catch {
            return error.code
        }
    }

    @Test func `an unchanged record is read`() {
        #expect(code(Self.key, changing: [:]) == nil)
        #expect(code(Self.doomed, changing: [:]) == nil)
        #expect(Self.key.encoded.byteCount == 72)
        #expect(Self.doomed.encoded.byteCount == 72 + 1 + 16)
    }

    @Test func `a record of a later version is told from damage`() {
        #expect(code(Self.key, changing: [24: 4]) == .unsupportedVersion)
        #expect(code(Self.key, changing: [25: 2]) == .unsupportedVersion)
        #expect(code(Self.doomed, changing: [72: 3]) == .unsupportedVersion)
    }

    @Test func `a record that contradicts itself is refused`() {
        // A period of which the short form cannot say when it began.
        #expect(code(Self.key, changing: [26: 90]) == .corrupted)
        #expect(code(Self.key, changing: [27: 1]) == .corrupted)
        // A key that stays and has a deletion date.
        #expect(code(Self.doomed, changing: [24: 1]) == .corrupted)
        #expect(code(Self.doomed, changing: [24: 2]) == .corrupted)
        // The begin of a period without days.
        #expect(code(Self.doomed, changing: [73: 1]) == .corrupted)
    }
}
