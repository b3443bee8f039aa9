// Part of Cairn, a content-addressed blob store.
import CairnCore
import CairnKeys
import CairnTestSupport
import Synchronization

/// Repeatable bytes that remember every draw of 32, the size of keys and salts.
final class SeededRandom: RandomSource {
    private let state: Mutex<(next: UInt64, draws: [[UInt8]])>

    init(seed: UInt64) {
        state = Mutex((seed, []))
    }

    var drawsOf32: [[UInt8]] { state.withLock(\.draws) }

    func fill(_ bytes: inout MutableSpan<UInt8>) {
        let count = bytes.count
        let drawn = state.withLock { state in
            let drawn = (0..<count).map { _ in Self.byte(&state.next) }
            if drawn.count == 32 {
                state.draws.append(drawn)
            }
            return drawn
        }
        for index in bytes.indices {
            bytes[index] = drawn[index]
        }
    }

    func number(below bound: Int) -> Int {
        state.withLock { state in
            let high = UInt64(Self.byte(&state.next)) << 8
            return Int(high | UInt64(Self.byte(&state.next))) % bound
        }
    }

    // SplitMix64: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014.
    private static func byte(_ state: inout UInt64) -> UInt8 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ mixed >> 30) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ mixed >> 27) &* 0x94d0_49bb_1331_11eb
        return UInt8(truncatingIfNeeded: mixed ^ mixed >> 31)
    }
}

/// A clock that stands still.
struct FixedClock: StoreClock {
    var time = Timestamp(nanosecondsSinceEpoch: 1_700_000_000_000_000_000)

    func now() -> Timestamp { time }

    func uptime() -> Duration { .zero }
}

extension PassphraseCost {
    /// A guess in microseconds, for tests that guess thousands of times.
    static var tiny: Self {
        get throws { try Self(log2N: 4, r: 1, p: 1) }
    }
}

extension Keyring {
    /// The keyring with everything that a key can have on one of its keys: a description,
    /// tags and grants of each kind.
    func decorating(_ key: KeyReference) throws -> Keyring {
        let context = try EncryptionContext(["bucket": "b", "caf\u{e9}": ""])
        var keyring = try describingKey(key, as: "for \u{201c}b\u{201d}\nand others")
            .taggingKey(key, with: ["owner": "team-a@example.com", "\u{dc}ber uns": "", "a": "b"])
        for constraint in [
            KeyGrant.Constraint.none, .contextEquals(context), .contextSubset(context),
        ] {
            keyring = try keyring.addingGrant(
                to: key, granteePrincipal: "user/ann", operations: [.decrypt, .reEncryptFrom],
                constraint: constraint
            ).keyring
        }
        return try keyring.addingGrant(
            to: key, name: "all:of/it_-", granteePrincipal: "user/bob",
            retiringPrincipal: "user/ann", operations: Set(KeyOperation.allCases)
        ).keyring
    }
}

/// The two ways to protect a keyring.
enum ProtectionKind: CaseIterable, Sendable {
    case passphrase, keyFile

    var right: KeyringProtection {
        switch self {
        case .passphrase: .passphrase(SecretBytes("correct horse battery staple"))
        case .keyFile: .keyFile(SecretBytes([UInt8](repeating: 0x5a, count: 32)))
        }
    }

    var wrong: KeyringProtection {
        switch self {
        case .passphrase: .passphrase(SecretBytes("correct horse battery stapler"))
        case .keyFile: .keyFile(SecretBytes([UInt8](repeating: 0x5b, count: 32)))
        }
    }

    func makeKeyring(
        random: SeededRandom = SeededRandom(seed: 1), clock: any StoreClock = FixedClock()
    ) throws -> Keyring {
        try Keyring.create(protection: right, random: random, clock: clock, scrypt: .tiny)
    }

    func open(
        _ bytes: [UInt8], clock: any StoreClock = FixedClock()
    ) throws(KeyError) -> Keyring {
        try Keyring(
            decoding: bytes, protection: right, random: SeededRandom(seed: 2), clock: clock)
    }
}
