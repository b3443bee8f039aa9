// Part of Cairn, a content-addressed blob store.
import CairnCore
import CairnKeys

/// One change of a keyring, or what else may happen to it.
enum KeyringCommand {
    struct Grant {
        var name: String?
        var grantee: String
        var retiring: String?
        var operations: Set<KeyOperation>
        var constraint: KeyGrant.Constraint
    }

    case add(alias: String?, text: String, tags: [String: String])
    case setEnabled(Bool, KeyReference)
    case rotate(KeyReference)
    case setPeriod(Int?, KeyReference)
    case rotateDue
    case scheduleDeletion(KeyReference, days: Int)
    case cancelDeletion(KeyReference)
    case destroyDue
    case addAlias(String, KeyReference)
    case moveAlias(String, KeyReference)
    case removeAlias(String)
    case describe(KeyReference, String)
    case tag(KeyReference, [String: String])
    case untag(KeyReference, [String])
    case grant(KeyReference, Grant)
    case retire(String, by: String)
    case revoke(String, of: KeyReference)
    case protect(ProtectionKind)
    case passTime(days: Int)
}

/// What a keyring should hold: plain values, and rules written down once more.
struct KeyringModel {
    struct Key {
        /// Known after the keyring has made it.
        var id: KeyID?
        var createdAt: Timestamp
        var state = KeyState.enabled
        var deletionDate: Timestamp?
        var period: (days: Int, since: Timestamp)?
        var versions: [KeyVersion]
        var text = ""
        var tags: [String: String] = [:]
        var grants: [KeyGrant] = []
    }

    var keys: [Key]
    /// Alias and the position of its key.
    var aliases: [String: Int]
    var revision: UInt64 = 1

    init(createdAt: Timestamp) {
        keys = [Self.newKey(createdAt)]
        aliases = [KeyReference.defaultAlias: 0]
    }

    static func newKey(_ now: Timestamp) -> Key {
        Key(createdAt: now, versions: [KeyVersion(createdAt: now, origin: .creation)])
    }

    func position(_ reference: KeyReference) -> Int? {
        aliases[reference.text] ?? keys.firstIndex { $0.id?.text == reference.text }
    }

    func description(_ position: Int) -> KeyDescription? {
        let key = keys[position]
        guard let id = key.id else { return nil }
        return KeyDescription(
            id: id, aliases: aliases.filter { $0.value == position }.keys.sorted(),
            state: key.state, createdAt: key.createdAt, deletionDate: key.deletionDate,
            rotationPeriodDays: key.period?.days,
            nextRotationDate: key.period.map { $0.since + .seconds($0.days * 86_400) },
            currentVersion: key.versions.count, description: key.text, tags: key.tags)
    }

    /// Whether a principal may do that with a key, whatever its state.
    func isGranted(
        _ operation: KeyOperation, on position: Int, to principal: String,
        with context: EncryptionContext
    ) -> Bool {
        let pairs = Set(context.pairs.map { [$0.key, $0.value] })
        return keys[position].grants.contains { grant in
            let isWithin =
                switch grant.constraint {
                case .none: true
                case .contextEquals(let only): Set(only.pairs.map { [$0.key, $0.value] }) == pairs
                case .contextSubset(let some):
                    pairs.isSuperset(of: some.pairs.map { [$0.key, $0.value] })
                }
            return grant.granteePrincipal == principal && grant.operations.contains(operation)
                && (isWithin || operation == .describeKey)
        }
    }

    // MARK: - What is wrong with a command

    /// The errors that a command may give; one of them it must, unless there are none.
    func faults(of command: KeyringCommand) -> Set<KeyError.Code> {
        switch command {
        case .add(let alias, _, let tags):
            faults(ofNew: alias).union(Self.faults(of: tags))
        case .setEnabled(let isEnabled, let key):
            pending(key).union(!isEnabled && isOwn(key) ? [.invalidArgument] : [])
        case .rotate(let key): unusable(key).union(isWornOut(key) ? [.limitExceeded] : [])
        case .setPeriod(let days, let key):
            unusable(key).union((90...2560).contains(days ?? 90) ? [] : [.invalidArgument])
        case .scheduleDeletion(let key, let days):
            pending(key)
                .union(isOwn(key) || !(7...30).contains(days) ? [.invalidArgument] : [])
        case .cancelDeletion(let key):
            missing(key).union(pending(key) == [.keyDisabled] ? [] : [.invalidArgument])
                .subtracting(position(key) == nil ? [.invalidArgument] : [])
        case .addAlias(let alias, let key): faults(ofNew: alias).union(pending(key))
        case .moveAlias(let alias, let key): faults(ofOld: alias).union(pending(key))
        case .removeAlias(let alias): faults(ofOld: alias)
        case .describe(let key, let text):
            pending(key).union(text.utf8.count > 8192 ? [.limitExceeded] : [])
        case .tag(let key, let tags):
            pending(key).union(Self.faults(of: tags)).union(overflow(key, tags))
        case .untag(let key, _): pending(key)
        case .grant(let key, let grant):
            unusable(key).union(grant.operations.isEmpty ? [.invalidArgument] : [])
        case .retire(let id, let principal):
            grantKey(id, retirableBy: principal) == nil ? [.accessDenied] : []
        case .revoke(let id, let key):
            grants(of: key).contains { $0.id == id } ? [] : [.keyNotFound]
        case .rotateDue, .destroyDue, .protect, .passTime: []
        }
    }

    private func grants(of key: KeyReference) -> [KeyGrant] {
        position(key).map { keys[$0].grants } ?? []
    }

    private func grantKey(_ id: String, retirableBy principal: String) -> Int? {
        keys.firstIndex { key in
            key.grants.contains {
                $0.id == id
                    && ($0.retiringPrincipal == principal
                        || $0.granteePrincipal == principal
                            && $0.operations.contains(.retireGrant))
            }
        }
    }

    private func missing(_ key: KeyReference) -> Set<KeyError.Code> {
        position(key) == nil ? [.keyNotFound] : []
    }

    private func pending(_ key: KeyReference) -> Set<KeyError.Code> {
        guard let position = position(key) else { return [.keyNotFound] }
        return keys[position].state == .pendingDeletion ? [.keyDisabled] : []
    }

    private func unusable(_ key: KeyReference) -> Set<KeyError.Code> {
        guard let position = position(key) else { return [.keyNotFound] }
        return keys[position].state == .enabled ? [] : [.keyDisabled]
    }

    private func isWornOut(_ key: KeyReference) -> Bool {
        guard let position = position(key) else { return false }
        return keys[position].versions.count { $0.origin == .onDemand } >= 25
    }

    private func isOwn(_ key: KeyReference) -> Bool {
        position(key) == aliases[KeyReference.defaultAlias]
    }

    private func overflow(
        _ key: KeyReference, _ tags: [String: String]
    ) -> Set<KeyError.Code> {
        guard let position = position(key) else { return [] }
        return Set(keys[position].tags.keys).union(tags.keys).count > 50 ? [.limitExceeded] : []
    }

    private static func faults(of tags: [String: String]) -> Set<KeyError.Code> {
        tags.keys.contains { $0.hasPrefix("cairn:") || $0.isEmpty } ? [.invalidArgument] : []
    }

    private func faults(ofNew alias: String?) -> Set<KeyError.Code> {
        guard let alias else { return [] }
        if alias.hasPrefix("alias/cairn/") { return [.invalidArgument] }
        return aliases[alias] == nil ? [] : [.aliasExists]
    }

    private func faults(ofOld alias: String) -> Set<KeyError.Code> {
        var faults: Set<KeyError.Code> = aliases[alias] == nil ? [.keyNotFound] : []
        if alias.hasPrefix("alias/cairn/") { faults.insert(.invalidArgument) }
        return faults
    }

    // MARK: - What a command does

    /// Does what a command without faults should do.
    mutating func apply(_ command: KeyringCommand, now: Timestamp) {
        if applyToKeyring(command, now: now) { return }
        switch command {
        case .setEnabled(let isEnabled, let key):
            change(key) { $0.state = isEnabled ? .enabled : .disabled }
        case .rotate(let key):
            change(key) { $0.versions.append(KeyVersion(createdAt: now, origin: .onDemand)) }
        case .setPeriod(let days, let key): change(key) { $0.period = days.map { ($0, now) } }
        case .scheduleDeletion(let key, let days):
            change(key) {
                ($0.state, $0.deletionDate) = (.pendingDeletion, now + .seconds(days * 86_400))
            }
        case .cancelDeletion(let key):
            change(key) { ($0.state, $0.deletionDate) = (.disabled, nil) }
        case .describe(let key, let text): change(key) { $0.text = text }
        case .tag(let key, let tags): change(key) { $0.tags.merge(tags) { $1 } }
        case .untag(let key, let names):
            change(key) { key in for name in names { key.tags[name] = nil } }
        case .retire(let id, _):
            for position in keys.indices { keys[position].grants.removeAll { $0.id == id } }
            revision += 1
        case .revoke(let id, let key): change(key) { $0.grants.removeAll { $0.id == id } }
        default: break
        }
    }

    /// The commands that concern more than one key; `false` for all others.
    private mutating func applyToKeyring(_ command: KeyringCommand, now: Timestamp) -> Bool {
        switch command {
        case .add(let alias, let text, let tags):
            var key = Self.newKey(now)
            (key.text, key.tags) = (text, tags)
            keys.append(key)
            if let alias { aliases[alias] = keys.count - 1 }
            revision += 1
        case .addAlias(let alias, let key), .moveAlias(let alias, let key):
            aliases[alias] = position(key)
            revision += 1
        case .removeAlias(let alias):
            aliases[alias] = nil
            revision += 1
        case .protect: revision += 1
        case .rotateDue: rotateDue(now)
        case .destroyDue: destroyDue(now)
        // A grant is only known when the keyring has made it; see ``add(_:to:)``.
        case .grant, .passTime: break
        default: return false
        }
        return true
    }

    /// Takes over a grant that the keyring has made.
    mutating func add(_ grant: KeyGrant, to key: KeyReference) {
        change(key) { $0.grants.append(grant) }
    }

    private mutating func change(_ key: KeyReference, _ body: (inout Key) -> Void) {
        guard let position = position(key) else { return }
        body(&keys[position])
        revision += 1
    }

    private mutating func rotateDue(_ now: Timestamp) {
        var hasChanged = false
        for position in keys.indices where keys[position].state == .enabled {
            guard let period = keys[position].period,
                period.since + .seconds(period.days * 86_400) <= now
            else { continue }
            keys[position].versions.append(KeyVersion(createdAt: now, origin: .automatic))
            keys[position].period?.since = now
            hasChanged = true
        }
        if hasChanged { revision += 1 }
    }

    private mutating func destroyDue(_ now: Timestamp) {
        let rest = keys.indices.filter { position in
            keys[position].deletionDate.map { $0 > now } ?? true
        }
        guard rest.count < keys.count else { return }
        aliases = aliases.compactMapValues { rest.firstIndex(of: $0) }
        keys = rest.map { keys[$0] }
        revision += 1
    }
}
