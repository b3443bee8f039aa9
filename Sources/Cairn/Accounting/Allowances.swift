// Part of Cairn, a content-addressed blob store.

/// What an account may use in a month, beside its quota; nil is any amount.
///
/// In the manner of the free tiers of public registries: storage over the month, and bytes that go
/// out. A month is one of the calendar, in UTC; a GB is 10^9 bytes.
public struct Allowances: Hashable, Sendable {
    /// What happens when more is used.
    public enum Action: UInt8, Hashable, Sendable, CaseIterable {
        // On disk: never renumber.
        /// Nothing: it is told, and paid for.
        case allow = 0
        /// ``Account/allowanceStatus()`` says so.
        case warn = 1
        /// No more: uploads or transfers fail with `allowanceExceeded` until the month is over.
        case deny = 2

        /// The name in the command line and in JSON.
        public var name: String {
            switch self {
            case .allow: "allow"
            case .warn: "warn"
            case .deny: "deny"
            }
        }
    }

    /// An amount, and what happens beyond it.
    public struct Allowance: Hashable, Sendable {
        /// Bytes; for storage those that may be held for the whole month.
        public var amount: UInt64
        /// What happens when more is used.
        public var action: Action

        /// An allowance.
        public init(_ amount: UInt64, _ action: Action) {
            self.amount = amount
            self.action = action
        }
    }

    /// Storage of buckets that not everybody may read.
    public var privateStorage: Allowance?
    /// Storage of public buckets (``Bucket/setPublic(_:)``).
    public var publicStorage: Allowance?
    /// Bytes to clients that have not said who they are.
    public var anonymousTransfer: Allowance?
    /// Bytes to clients that have.
    public var signedInTransfer: Allowance?

    /// Any amount of everything.
    public init(
        privateStorage: Allowance? = nil, publicStorage: Allowance? = nil,
        anonymousTransfer: Allowance? = nil, signedInTransfer: Allowance? = nil
    ) {
        self.privateStorage = privateStorage
        self.publicStorage = publicStorage
        self.anonymousTransfer = anonymousTransfer
        self.signedInTransfer = signedInTransfer
    }

    /// Any amount of everything.
    public static let unlimited = Allowances()

    /// The amounts of the free tiers of Amazon ECR: 500 MB-months of private and 50 GB-months of
    /// public storage, 500 GB to anonymous clients and 5 TB to those that have signed in; in the
    /// same region any amount.
    public static func freeTier(_ action: Action) -> Allowances {
        Allowances(
            privateStorage: Allowance(500_000_000, action),
            publicStorage: Allowance(50_000_000_000, action),
            anonymousTransfer: Allowance(500_000_000_000, action),
            signedInTransfer: Allowance(5_000_000_000_000, action))
    }

    /// What there are allowances for.
    public enum Kind: UInt8, Hashable, Sendable, CaseIterable {
        // On disk the place in a row: never reorder.
        /// ``Allowances/privateStorage``
        case privateStorage = 0
        /// ``Allowances/publicStorage``
        case publicStorage = 1
        /// ``Allowances/anonymousTransfer``
        case anonymousTransfer = 2
        /// ``Allowances/signedInTransfer``
        case signedInTransfer = 3

        /// The name in the command line and in JSON.
        public var name: String {
            switch self {
            case .privateStorage: "privateStorage"
            case .publicStorage: "publicStorage"
            case .anonymousTransfer: "anonymousTransfer"
            case .signedInTransfer: "signedInTransfer"
            }
        }
    }

    /// The allowance of a kind.
    public subscript(kind: Kind) -> Allowance? {
        get {
            switch kind {
            case .privateStorage: privateStorage
            case .publicStorage: publicStorage
            case .anonymousTransfer: anonymousTransfer
            case .signedInTransfer: signedInTransfer
            }
        }
        set {
            switch kind {
            case .privateStorage: privateStorage = newValue
            case .publicStorage: publicStorage = newValue
            case .anonymousTransfer: anonymousTransfer = newValue
            case .signedInTransfer: signedInTransfer = newValue
            }
        }
    }

    subscript(transfer: TransferClass) -> Allowance? {
        switch transfer {
        case .anonymous: anonymousTransfer
        case .signedIn: signedInTransfer
        case .sameRegion: nil
        }
    }
}

/// How much of an allowance is used in the present month.
public struct AllowanceStatus: Hashable, Sendable {
    /// Of what.
    public let kind: Allowances.Kind
    /// How much there is, and what happens beyond.
    public let allowance: Allowances.Allowance
    /// How much is used: bytes, or what has been held so far as bytes held for the whole month,
    /// rounded down.
    public let usedAmount: UInt64

    /// Whether all of it is used.
    public var isExceeded: Bool { usedAmount >= allowance.amount }
}
