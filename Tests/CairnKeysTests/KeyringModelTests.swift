// Part of Cairn, a content-addressed blob store.
import CairnCore
import CairnKeys
import CairnTestSupport
import Testing

/// Random changes of a keyring, which goes through its file after each, beside a simple model.
@Suite struct KeyringModelTests {
    // A seed is all it takes to see a failure again.
    @Test(arguments: UInt64(1)...8)
    func `a keyring is what its changes say, also after each writing`(_ seed: UInt64) async throws {
        var run = try KeyringRun(seed: seed)
        for _ in 0..<150 { try await run.step() }
        // The changes are worth their while only if many of them succeed.
        #expect(run.successCount > 60)
        #expect(run.refusalCount > 10)
    }
}

private struct KeyringRun {
    /// What was wrapped, and with which version of which key.
    private struct Wrapped {
        let bytes: [UInt8]
        let plaintext: [UInt8]
        let context: EncryptionContext
        let keyID: KeyID
        let version: Int
    }

    private(set) var successCount = 0
    private(set) var refusalCount = 0

    private let random: SeededRandom
    private let clock = ManualClock()
    private var protection = ProtectionKind.keyFile
    private var keyring: Keyring
    private var model: KeyringModel
    private var wrapped: [Wrapped] = []
    /// Of grants that are or were there.
    private var grantIDs = ["b97f09db-16c0-461e-9a9b-55e8cde82d76"]
    private let contexts: [EncryptionContext]

    init(seed: UInt64) throws {
        random = SeededRandom(seed: seed)
        keyring = try protection.makeKeyring(random: random, clock: clock)
        model = KeyringModel(createdAt: clock.now())
        contexts = try [
            [:], ["a": "1"], ["a": "1", "b": "2"], ["a": "2"],
        ].map(EncryptionContext.init)
        model.keys[0].id = keyring.keys[0].id
    }

    mutating func step() async throws {
        let command = try makeCommand()
        let faults = model.faults(of: command)
        do {
            try perform(command)
            #expect(faults.isEmpty, "\(command) should give \(faults)")
            successCount += 1
        } catch let error as KeyError {
            #expect(faults.contains(error.code), "\(command) should give \(faults), not \(error)")
            refusalCount += 1
        }
        keyring = try Keyring(
            decoding: keyring.encoded(), protection: protection.right, random: random,
            clock: clock)
        try compare(after: command)
        try await wrapSomething()
        try await unwrapSomething()
        try await askAsPrincipal()
    }

    // MARK: - Changes

    private mutating func perform(_ command: KeyringCommand) throws {
        let now = clock.now()
        let old = keyring
        if case .grant(let key, let grant) = command {
            return try perform(grant, of: key)
        }
        if let next = try successor(command) { keyring = next }
        if case .protect(let other) = command { protection = other }
        if case .passTime(let days) = command { clock.advance(by: .seconds(days * 86_400)) }
        model.apply(command, now: now)
        if keyring.keys.count > old.keys.count {
            model.keys[model.keys.count - 1].id = keyring.keys.last?.id
        }
    }

    /// The keyring that a command gives; nil where there is nothing to do.
    private func successor(_ command: KeyringCommand) throws -> Keyring? {
        switch command {
        case .add(let alias, let text, let tags):
            try keyring.addingKey(alias: alias, description: text, tags: tags)
        case .setEnabled(let isEnabled, let key): try keyring.settingKey(key, isEnabled: isEnabled)
        case .rotate(let key): try keyring.rotatingKey(key)
        case .setPeriod(let days, let key): try keyring.settingRotation(periodDays: days, of: key)
        case .rotateDue: try keyring.rotatingDueKeys()
        case .scheduleDeletion(let key, let days):
            try keyring.schedulingDeletion(of: key, afterDays: days)
        case .cancelDeletion(let key): try keyring.cancellingDeletion(of: key)
        case .destroyDue: keyring.destroyingDueKeys()?.keyring
        case .addAlias(let alias, let key): try keyring.addingAlias(alias, to: key)
        case .moveAlias(let alias, let key): try keyring.movingAlias(alias, to: key)
        case .removeAlias(let alias): try keyring.removingAlias(alias)
        case .describe(let key, let text): try keyring.describingKey(key, as: text)
        case .tag(let key, let tags): try keyring.taggingKey(key, with: tags)
        case .untag(let key, let names): try keyring.untaggingKey(key, keys: names)
        case .retire(let id, let principal): try keyring.retiringGrant(id, by: principal)
        case .revoke(let id, let key): try keyring.revokingGrant(id, of: key)
        case .protect(let other): try keyring.protected(by: other.right, scrypt: .tiny)
        case .grant, .passTime: nil
        }
    }

    private mutating func perform(
        _ wanted: KeyringCommand.Grant, of key: KeyReference
    ) throws {
        let (next, grant) = try keyring.addingGrant(
            to: key, name: wanted.name, granteePrincipal: wanted.grantee,
            retiringPrincipal: wanted.retiring, operations: wanted.operations,
            constraint: wanted.constraint)
        let position = try #require(model.position(key))
        let older = model.keys[position].grants.first { held in
            held.name != nil && held.name == wanted.name
                && held.granteePrincipal == wanted.grantee
                && held.retiringPrincipal == wanted.retiring
                && held.operations == wanted.operations && held.constraint == wanted.constraint
        }
        if let older {
            #expect(grant == older)
        } else {
            #expect(grant.name == wanted.name)
            #expect(grant.granteePrincipal == wanted.grantee)
            #expect(grant.retiringPrincipal == wanted.retiring)
            #expect(grant.operations == wanted.operations)
            #expect(grant.constraint == wanted.constraint)
            #expect(grant.createdAt == clock.now())
            #expect(!grantIDs.contains(grant.id))
            grantIDs.append(grant.id)
            model.add(grant, to: key)
        }
        keyring = next
    }

    // MARK: - Comparison

    private func compare(after command: KeyringCommand) throws {
        #expect(keyring.revision == model.revision, "\(command)")
        #expect(keyring.keys == model.keys.indices.map { model.description($0) }, "\(command)")
        for key in model.keys {
            let reference = KeyReference(try #require(key.id))
            #expect(try keyring.versions(of: reference) == key.versions, "\(command)")
            #expect(try keyring.grants(of: reference) == key.grants, "\(command)")
        }
    }

    private mutating func wrapSomething() async throws {
        let position = random.number(below: model.keys.count)
        let (key, context) = (model.keys[position], pick(contexts))
        guard key.state == .enabled, let id = key.id else { return }
        let plaintext = [UInt8](repeating: 7, count: 1 + random.number(below: 64))
        let bytes = try await keyring.encrypt(
            SecretBytes(plaintext), under: KeyReference(id), context: context)
        wrapped.append(
            Wrapped(
                bytes: bytes, plaintext: plaintext, context: context, keyID: id,
                version: key.versions.count))
    }

    /// Everything that was ever wrapped opens as long as its key is there and enabled.
    private func unwrapSomething() async throws {
        guard !wrapped.isEmpty else { return }
        let item = pick(wrapped)
        let key = model.keys.first { $0.id == item.keyID }
        do {
            let plaintext = try await keyring.decrypt(item.bytes, context: item.context)
            #expect(key?.state == .enabled)
            #expect(plaintext.bytes == item.plaintext)
        } catch {
            #expect(error.code == (key == nil ? .keyNotFound : .keyDisabled))
            #expect(key?.state != .enabled)
        }
        guard let key else { return }
        let isCurrent = try await keyring.isCurrent(item.bytes, under: KeyReference(item.keyID))
        #expect(isCurrent == (item.version == key.versions.count))
    }

    private func askAsPrincipal() async throws {
        let position = random.number(below: model.keys.count)
        let (principal, context) = (pick(Self.principals), pick(contexts))
        let id = try #require(model.keys[position].id)
        let granted = try keyring.acting(as: principal)
        for operation in [KeyOperation.describeKey, .encrypt, .generateDataKey] {
            let isGranted = model.isGranted(
                operation, on: position, to: principal, with: context)
            let isServed = operation == .describeKey || model.keys[position].state == .enabled
            do {
                switch operation {
                case .describeKey: _ = try await granted.describeKey(KeyReference(id))
                case .encrypt:
                    _ = try await granted.encrypt(
                        SecretBytes([1]), under: KeyReference(id), context: context)
                default:
                    _ = try await granted.generateDataKey(
                        under: KeyReference(id), context: context)
                }
                #expect(isGranted && isServed)
            } catch {
                #expect(error.code == (isGranted ? .keyDisabled : .accessDenied))
                #expect(!isGranted || !isServed)
            }
        }
    }

    // MARK: - Choice

    private static let principals = ["ann", "bob", "eve"]

    private func pick<Element>(_ choices: [Element]) -> Element {
        choices[random.number(below: choices.count)]
    }

    private func makeReference() throws -> KeyReference {
        switch random.number(below: 10) {
        case 0: try KeyReference(makeAlias())
        case 1: .default
        case 2: KeyReference(try KeyID("b97f09db-16c0-461e-9a9b-55e8cde82d76"))
        default: KeyReference(try #require(pick(model.keys).id))
        }
    }

    private func makeAlias() -> String {
        random.number(below: 20) == 0
            ? pick(["alias/cairn/default", "alias/cairn/new"])
            : "alias/\(random.number(below: 5))"
    }

    private func makeTags() -> [String: String] {
        let reserved = random.number(below: 20) == 0 ? ["cairn:a"] : []
        let names = ["a", "b", "Team", "\u{e9}"] + reserved
        // Many at once now and then, to reach the limit.
        let more = random.number(below: 12) == 0 ? (0..<45).map { "t\($0)" } : []
        return Dictionary(
            uniqueKeysWithValues: (names.filter { _ in random.number(below: 2) == 0 } + more)
                .map { ($0, "\(random.number(below: 3))") })
    }

    private func makeGrant() -> KeyringCommand.Grant {
        let operations = KeyOperation.allCases.filter { _ in random.number(below: 3) == 0 }
        let context = pick(contexts)
        return KeyringCommand.Grant(
            name: pick([nil, "n", "m"]), grantee: pick(Self.principals),
            retiring: pick([nil, "ann", "bob"]),
            // Few sets, so that grants are asked for again.
            operations: Set(random.number(below: 2) == 0 ? operations : [.encrypt]),
            constraint: pick([.none, .contextEquals(context), .contextSubset(context)]))
    }

    private func makeCommand() throws -> KeyringCommand {
        let key = try makeReference()
        switch random.number(below: 24) {
        case 0 where model.keys.count < 8, 1 where model.keys.count < 3:
            return .add(
                alias: pick([nil, makeAlias()]), text: pick(["", "text"]), tags: makeTags())
        case 2: return .setEnabled(true, key)
        case 3: return .setEnabled(random.number(below: 2) == 0, key)
        case 4, 5: return .rotate(key)
        case 6: return .setPeriod(pick([nil, 90, 365, 2560, 89, 2561]), key)
        case 7: return .rotateDue
        case 8: return .scheduleDeletion(key, days: pick([7, 30, 6, 31]))
        case 9: return .cancelDeletion(try pickDoomed() ?? key)
        case 10: return .destroyDue
        case 11: return .addAlias(makeAlias(), key)
        case 12: return .moveAlias(makeAlias(), key)
        case 13: return .removeAlias(makeAlias())
        case 14:
            let long = String(repeating: "d", count: 8192 + random.number(below: 2))
            return .describe(key, pick(["", "text", "\u{e9}\n", long]))
        case 15: return .tag(key, makeTags())
        case 16: return .untag(key, Array(makeTags().keys))
        case 17, 18, 19: return .grant(key, makeGrant())
        case 20: return .retire(pick(grantIDs), by: pick(Self.principals))
        case 21: return .revoke(pick(grantIDs), of: key)
        case 22: return .protect(pick(ProtectionKind.allCases))
        default: return .passTime(days: random.number(below: 60))
        }
    }

    private func pickDoomed() throws -> KeyReference? {
        try model.keys.first { $0.state == .pendingDeletion }.map {
            KeyReference(try #require($0.id))
        }
    }
}
