// Part of Cairn, a content-addressed blob store.
public import Cairn

/// How a registry behaves where the specification leaves a choice.
public struct RegistryConfiguration: Hashable, Sendable {
    /// Whether the first push to a name creates the repository.
    public var createsRepositories = true
    /// Whether a tag, once set, names the same manifest until it is deleted.
    public var tagsAreImmutable = false
    /// How long a blob stays that no manifest names; a client that asks for it begins that anew.
    public var blobLifetime = BlobLifetime.untilDeleted

    /// Makes the usual configuration.
    public init() {}
}

/// An OCI registry over the buckets of one account, without HTTP.
///
/// A repository is the bucket of that name. Safe to share between tasks; one account is served by
/// one registry and its copies, which take turns where a deletion and a push meet.
public struct Registry: Sendable {
    /// The longest page of any list.
    public static let pageCountMax = 1000

    private let account: Account
    private let locks = KeyedLock()
    /// How the registry behaves where the specification leaves a choice.
    public let configuration: RegistryConfiguration

    /// Makes a registry.
    public init(account: Account, configuration: RegistryConfiguration = .init()) {
        self.account = account
        self.configuration = configuration
    }

    /// An existing repository.
    ///
    /// - Throws: `nameUnknown`.
    public func repository(_ name: RepositoryName) async throws(RegistryError) -> Repository {
        do throws(StoreError) {
            return Repository(
                bucket: try await account.bucket(name.description), configuration: configuration,
                locks: locks)
        } catch {
            throw RegistryError(store: error)
        }
    }

    /// The repository to push to, created when there is none and the configuration allows it.
    ///
    /// - Throws: `nameUnknown`.
    public func repositoryForPush(
        _ name: RepositoryName
    ) async throws(RegistryError) -> Repository {
        do throws(RegistryError) {
            return try await repository(name)
        } catch {
            guard error.code == .nameUnknown, configuration.createsRepositories else {
                throw error
            }
        }
        do throws(StoreError) {
            let bucket = try await account.createBucket(name.description)
            return Repository(bucket: bucket, configuration: configuration, locks: locks)
        } catch {
            // Another client's first push was faster.
            guard error.code == .bucketExists else { throw RegistryError(store: error) }
            return try await repository(name)
        }
    }

    /// The names of repositories in order.
    ///
    /// - Parameters:
    ///   - last: the last name already seen; nil starts at the beginning.
    ///   - limit: 0 to ``pageCountMax``.
    public func repositories(
        after last: String?, limit: Int
    ) async throws(RegistryError) -> NamePage {
        guard limit > 0 else { return NamePage(names: [], isTruncated: false) }
        do throws(StoreError) {
            let page = try await account.buckets(after: last, limit: min(limit, Self.pageCountMax))
            // A full page may be the last one; the next is then empty, which is allowed.
            return NamePage(names: page.map { $0.name }, isTruncated: page.count == limit)
        } catch {
            throw RegistryError(store: error)
        }
    }
}

/// One page of a list of names.
public struct NamePage: Hashable, Sendable {
    /// The names in order of their bytes.
    public var names: [String]
    /// Whether there may be more.
    public var isTruncated: Bool
}
