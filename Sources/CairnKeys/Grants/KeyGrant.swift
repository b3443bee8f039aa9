// Part of Cairn, a content-addressed blob store.
public import CairnCore

/// What a grant can allow, each as the AWS KMS operation of the same name.
public enum KeyOperation: String, Sendable, CaseIterable {
    /// ``KeyProvider/encrypt(_:under:context:)``.
    case encrypt
    /// ``KeyProvider/decrypt(_:context:)``.
    case decrypt
    /// ``KeyProvider/generateDataKey(under:context:)``.
    case generateDataKey
    /// ``KeyProvider/generateDataKeyWithoutPlaintext(under:context:)``.
    case generateDataKeyWithoutPlaintext
    /// ``KeyProvider/reEncrypt(_:context:to:newContext:)`` of what the key has wrapped.
    case reEncryptFrom
    /// ``KeyProvider/reEncrypt(_:context:to:newContext:)`` to the key.
    case reEncryptTo
    /// ``KeyProvider/describeKey(_:)`` and ``KeyProvider/isCurrent(_:under:)``; under no
    /// constraint, since neither has a context.
    case describeKey
    /// Retiring the grant itself.
    case retireGrant
}

/// Permission for one principal to use one customer key (KMS `CreateGrant`).
///
/// A principal is whatever name the embedding server gives to those who call it; a keyring
/// compares names and attaches no meaning to them. Grants only add: what no grant allows is denied.
/// A plain value, safe to share between threads.
public struct KeyGrant: Hashable, Sendable {
    /// The most bytes of a principal: printable ASCII without spaces.
    public static let principalByteCountMax = 256
    /// The most bytes of a name: letters, digits, and `:/_-`, as AWS KMS allows.
    public static let nameByteCountMax = 256

    /// Which contexts the operations are allowed with.
    public enum Constraint: Hashable, Sendable {
        /// Any.
        case none
        /// Only this one (KMS `EncryptionContextEquals`).
        case contextEquals(EncryptionContext)
        /// Those that hold all of these pairs (KMS `EncryptionContextSubset`).
        case contextSubset(EncryptionContext)
    }

    let uuid: Octets16
    /// Makes creation repeatable: the same name with the same parameters is the same grant.
    public let name: String?
    /// Who may call.
    public let granteePrincipal: String
    /// Who may retire the grant; the grantee may when ``operations`` holds `retireGrant`.
    public let retiringPrincipal: String?
    /// What the grantee may call; at least one.
    public let operations: Set<KeyOperation>
    /// With which contexts.
    public let constraint: Constraint
    /// When the grant was made.
    public let createdAt: Timestamp

    /// The permanent name of the grant: a lower-case UUID, unique within the keyring.
    public var id: String { uuid.uuidText }

    /// Checks the parameters of a grant.
    ///
    /// - Throws: ``KeyError`` with code `invalidArgument`.
    init(
        uuid: Octets16, name: String?, granteePrincipal: String, retiringPrincipal: String?,
        operations: Set<KeyOperation>, constraint: Constraint, createdAt: Timestamp
    ) throws(KeyError) {
        if let name { try Self.checkName(name) }
        try Self.checkPrincipal(granteePrincipal)
        if let retiringPrincipal { try Self.checkPrincipal(retiringPrincipal) }
        guard !operations.isEmpty else {
            throw KeyError(.invalidArgument, "a grant allows at least one operation")
        }
        self.uuid = uuid
        self.name = name
        self.granteePrincipal = granteePrincipal
        self.retiringPrincipal = retiringPrincipal
        self.operations = operations
        self.constraint = constraint
        self.createdAt = createdAt
    }

    /// Whether the grant lets a principal call an operation with that context.
    ///
    /// - Parameter context: Nil for an operation that has none: no constraint concerns it.
    func allows(
        _ operation: KeyOperation, to principal: String, with context: EncryptionContext?
    ) -> Bool {
        granteePrincipal == principal && operations.contains(operation)
            && context.map(constraint.allows) ?? true
    }

    /// Whether a principal may give the grant up.
    func isRetirable(by principal: String) -> Bool {
        retiringPrincipal == principal || allows(.retireGrant, to: principal, with: nil)
    }

    /// Whether both say the same, apart from the id and the time.
    func hasSameParameters(as other: Self) -> Bool {
        name == other.name && granteePrincipal == other.granteePrincipal
            && retiringPrincipal == other.retiringPrincipal && operations == other.operations
            && constraint == other.constraint
    }

    // MARK: - Form of names

    /// - Throws: ``KeyError`` with code `invalidArgument`.
    static func checkPrincipal(_ principal: String) throws(KeyError) {
        guard (1...principalByteCountMax).contains(principal.utf8.count),
            principal.utf8.allSatisfy({ (0x21...0x7e).contains($0) })
        else {
            throw KeyError(
                .invalidArgument,
                "a principal is 1 to \(principalByteCountMax) printable ASCII characters without "
                    + "spaces")
        }
    }

    private static func checkName(_ name: String) throws(KeyError) {
        guard (1...nameByteCountMax).contains(name.utf8.count), name.utf8.allSatisfy(isNameByte)
        else {
            throw KeyError(
                .invalidArgument,
                "the name of a grant is 1 to \(nameByteCountMax) letters, digits and :/_-")
        }
    }

    private static func isNameByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: ":"), UInt8(ascii: "/"),
            UInt8(ascii: "_"), UInt8(ascii: "-"):
            true
        default:
            false
        }
    }
}

extension KeyGrant.Constraint {
    /// Whether a call with that context is within the constraint; bytes count, as everywhere.
    func allows(_ context: EncryptionContext) -> Bool {
        switch self {
        case .none: true
        case .contextEquals(let only): context == only
        case .contextSubset(let subset): subset.pairs.allSatisfy(context.holds)
        }
    }
}

extension EncryptionContext {
    /// Whether a pair of the same bytes is among the pairs.
    fileprivate func holds(_ pair: Pair) -> Bool {
        pairs.contains {
            $0.key.utf8.elementsEqual(pair.key.utf8) && $0.value.utf8.elementsEqual(pair.value.utf8)
        }
    }
}
