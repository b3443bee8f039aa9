// Part of Cairn, a content-addressed blob store.
import CairnCore
import CairnKeys
import CairnTestSupport
import Testing

/// What becomes of a customer key between its creation and its end.
@Suite struct KeyLifeTests {
    private let clock = ManualClock()
    private let context: EncryptionContext
    private let other: KeyReference

    init() throws {
        context = try EncryptionContext(["store": "5a"])
        other = try KeyReference("alias/other")
    }

    /// Two keys: the store's own, and one under `alias/other`.
    private func makeKeyring() throws -> Keyring {
        try ProtectionKind.keyFile.makeKeyring(clock: clock).addingKey(alias: other.text)
    }

    /// The keyring as a later process reads it.
    private func reopened(_ keyring: Keyring) throws -> Keyring {
        let again = try ProtectionKind.keyFile.open(keyring.encoded(), clock: clock)
        #expect(again.keys == keyring.keys)
        for key in keyring.keys {
            #expect(
                try again.versions(of: KeyReference(key.id))
                    == keyring.versions(of: KeyReference(key.id)))
        }
        return again
    }

    private func days(_ count: Int) -> Duration { .seconds(count * 86_400) }

    // MARK: - Rotation

    @Test func `a key gets new material each period, and what it wrapped still opens`()
        async throws
    {
        var keyring = try makeKeyring().settingRotation(periodDays: 90, of: other)
        let start = clock.now()
        var wrapped: [[UInt8]] = []
        for round in 1...3 {
            wrapped.append(
                try await keyring.generateDataKey(under: other, context: context).wrapped)
            #expect(
                try await keyring.describeKey(other).nextRotationDate == start + days(90 * round))
            clock.advance(by: days(90) - .seconds(1))
            #expect(try keyring.rotatingDueKeys() == nil)
            clock.advance(by: .seconds(1))
            keyring = try reopened(#require(try keyring.rotatingDueKeys()))
            #expect(try keyring.rotatingDueKeys() == nil)
        }
        let versions = try keyring.versions(of: other)
        #expect(versions.map(\.origin) == [.creation, .automatic, .automatic, .automatic])
        #expect(versions.map(\.createdAt) == (0...3).map { start + days(90 * $0) })
        #expect(try keyring.versions(of: .default).count == 1)
        for wrapped in wrapped {
            _ = try await keyring.decryptDataKey(wrapped, context: context)
        }
        let ended = try reopened(keyring.settingRotation(periodDays: nil, of: other))
        clock.advance(by: days(1000))
        #expect(try ended.rotatingDueKeys() == nil)
    }

    @Test func `a key that missed its periods is rotated once, a disabled one when it is back`()
        throws
    {
        let keyring = try makeKeyring().settingRotation(periodDays: 90, of: other)
        let disabled = try keyring.settingKey(other, isEnabled: false)
        clock.advance(by: days(1000))
        let rotated = try #require(try keyring.rotatingDueKeys())
        #expect(try rotated.versions(of: other).count == 2)
        #expect(try rotated.rotatingDueKeys() == nil)
        #expect(try disabled.rotatingDueKeys() == nil)
        #expect(try disabled.settingKey(other, isEnabled: true).rotatingDueKeys() != nil)
        clock.advance(by: days(-2000))
        #expect(try rotated.rotatingDueKeys() == nil)
    }

    @Test func `keys that are due together are rotated in one change`() throws {
        let keyring = try makeKeyring().settingRotation(periodDays: 90, of: other)
            .settingRotation(periodDays: 90, of: .default)
        clock.advance(by: days(90))
        let rotated = try #require(try keyring.rotatingDueKeys())
        #expect(rotated.keys.map(\.currentVersion) == [2, 2])
        #expect(rotated.revision == keyring.revision + 1)
    }

    @Test(arguments: [Int.min, -1, 0, 89, 2561, .max])
    func `a period out of range is refused`(days: Int) throws {
        let keyring = try makeKeyring()
        #expect(throws: KeyError.with(.invalidArgument)) {
            try keyring.settingRotation(periodDays: days, of: other)
        }
    }

    @Test func `a key is rotated 25 times on demand, and a thousand times in all`() throws {
        var keyring = try makeKeyring().settingRotation(periodDays: 90, of: other)
        for _ in 0..<25 { keyring = try keyring.rotatingKey(other) }
        #expect(throws: KeyError.with(.limitExceeded)) { try keyring.rotatingKey(other) }
        for _ in 26..<1000 {
            clock.advance(by: days(90))
            keyring = try #require(try keyring.rotatingDueKeys())
        }
        keyring = try reopened(keyring)
        #expect(try keyring.versions(of: other).count == 1000)
        clock.advance(by: days(90))
        #expect(try keyring.rotatingDueKeys() == nil)
    }

    // MARK: - Deletion

    @Test func `a key that is to be destroyed serves nothing, and is gone when its time has come`()
        async throws
    {
        let keyring = try makeKeyring()
        let dataKey = try await keyring.generateDataKey(under: other, context: context)
        let own = try await keyring.generateDataKey(under: .default, context: context)
        let doomed = try reopened(keyring.schedulingDeletion(of: other, afterDays: 7))
        let description = try await doomed.describeKey(other)
        #expect(description.state == .pendingDeletion)
        #expect(description.deletionDate == clock.now() + days(7))
        let calls: [() async throws -> Void] = [
            { _ = try await doomed.generateDataKey(under: other, context: context) },
            { _ = try await doomed.decrypt(dataKey.wrapped, context: context) },
            {
                _ = try await doomed.reEncrypt(
                    dataKey.wrapped, context: context, to: .default, newContext: context)
            },
            {
                _ = try await doomed.reEncrypt(
                    own.wrapped, context: context, to: other, newContext: context)
            },
            { _ = try doomed.rotatingKey(other) },
            { _ = try doomed.settingRotation(periodDays: 90, of: other) },
            { _ = try doomed.settingKey(other, isEnabled: true) },
            { _ = try doomed.settingKey(other, isEnabled: false) },
            { _ = try doomed.schedulingDeletion(of: other, afterDays: 30) },
            { _ = try doomed.addingAlias("alias/more", to: other) },
        ]
        for call in calls {
            await #expect(throws: KeyError.with(.keyDisabled)) { try await call() }
        }
        clock.advance(by: days(7) - .nanoseconds(1))
        #expect(doomed.destroyingDueKeys() == nil)
        clock.advance(by: .nanoseconds(1))
        let (rest, destroyed) = try #require(doomed.destroyingDueKeys())
        #expect(destroyed == [description.id])
        #expect(rest.revision == doomed.revision + 1)
        let left = try reopened(rest)
        for reference in [other, KeyReference(description.id)] {
            await #expect(throws: KeyError.with(.keyNotFound)) {
                try await left.describeKey(reference)
            }
        }
        await #expect(throws: KeyError.with(.keyNotFound)) {
            try await left.decrypt(dataKey.wrapped, context: context)
        }
        _ = try await left.decryptDataKey(own.wrapped, context: context)
        // The alias is free for another key.
        #expect(try left.addingKey(alias: other.text).keys.count == 2)
    }

    @Test func `a deletion that is cancelled leaves the key disabled`() async throws {
        let keyring = try makeKeyring().settingRotation(periodDays: 365, of: other)
        let dataKey = try await keyring.generateDataKey(under: other, context: context)
        let kept = try reopened(
            keyring.schedulingDeletion(of: other, afterDays: 30).cancellingDeletion(of: other))
        #expect(try await kept.describeKey(other).state == .disabled)
        #expect(try await kept.describeKey(other).deletionDate == nil)
        #expect(try await kept.describeKey(other).rotationPeriodDays == 365)
        clock.advance(by: days(31))
        #expect(kept.destroyingDueKeys() == nil)
        let enabled = try kept.settingKey(other, isEnabled: true)
        _ = try await enabled.decryptDataKey(dataKey.wrapped, context: context)
        #expect(throws: KeyError.with(.invalidArgument)) {
            try enabled.cancellingDeletion(of: other)
        }
    }

    @Test(arguments: [Int.min, 0, 6, 31, .max])
    func `a waiting period out of range is refused`(days: Int) throws {
        let keyring = try makeKeyring()
        #expect(throws: KeyError.with(.invalidArgument)) {
            try keyring.schedulingDeletion(of: other, afterDays: days)
        }
    }

    @Test func `the key of the store itself is not destroyed`() async throws {
        let keyring = try makeKeyring()
        let id = try await keyring.describeKey(.default).id
        for reference in [.default, KeyReference(id)] {
            #expect(throws: KeyError.with(.invalidArgument)) {
                try keyring.schedulingDeletion(of: reference, afterDays: 7)
            }
        }
    }

    // MARK: - Aliases

    @Test func `an alias is made, moved and removed, and what was wrapped stays with its key`()
        async throws
    {
        let keyring = try makeKeyring().addingKey(alias: nil)
        let ids = keyring.keys.map(\.id)
        let dataKey = try await keyring.generateDataKey(under: other, context: context)
        let named = try keyring.addingAlias("alias/third", to: KeyReference(ids[2]))
        #expect(named.keys[2].aliases == ["alias/third"])
        let moved = try reopened(named.movingAlias(other.text, to: KeyReference("alias/third")))
        #expect(moved.keys.map(\.aliases.count) == [1, 0, 2])
        #expect(try await moved.describeKey(other).id == ids[2])
        _ = try await moved.decryptDataKey(dataKey.wrapped, context: context)
        let removed = try reopened(moved.removingAlias(other.text))
        await #expect(throws: KeyError.with(.keyNotFound)) {
            try await removed.describeKey(other)
        }
        #expect(removed.keys.count == 3)
        #expect(removed.revision == keyring.revision + 3)
    }

    @Test func `an alias that is taken, unknown, malformed or reserved is refused`() throws {
        let keyring = try makeKeyring()
        let reserved = "alias/cairn/mine"
        let refused: [(String, KeyError.Code)] = [
            (other.text, .aliasExists), (reserved, .invalidArgument), ("third", .invalidArgument),
            ("alias/", .invalidArgument), ("alias/a b", .invalidArgument),
        ]
        for (alias, code) in refused {
            #expect(throws: KeyError.with(code), "\(alias)") {
                try keyring.addingAlias(alias, to: other)
            }
            #expect(throws: KeyError.with(code), "\(alias)") {
                try keyring.addingKey(alias: alias)
            }
        }
        for alias in [reserved, KeyReference.defaultAlias] {
            #expect(throws: KeyError.with(.invalidArgument)) {
                try keyring.movingAlias(alias, to: other)
            }
            #expect(throws: KeyError.with(.invalidArgument)) { try keyring.removingAlias(alias) }
        }
        #expect(throws: KeyError.with(.keyNotFound)) {
            try keyring.movingAlias("alias/third", to: other)
        }
        #expect(throws: KeyError.with(.keyNotFound)) { try keyring.removingAlias("alias/third") }
        #expect(throws: KeyError.with(.keyNotFound)) {
            try keyring.addingAlias("alias/third", to: KeyReference("alias/fourth"))
        }
    }
}
