// Part of Cairn, a content-addressed blob store.
public import Cairn
public import CairnCore

// What a repository keeps in its bucket:
//
//   blob    <digest>                        layers, configs, and the bodies of all objects
//   object  manifests/<name>                the manifest's bytes; content type: its media type;
//                                           references: config, layers, bodies of child manifests
//   object  tags/<tag>                      the digest as text; reference: the manifest's body
//   object  referrers/<subject>/<name>      the descriptor as JSON; reference: the manifest's body
//
// Keys of objects are stored in the clear. So <name> and <subject> are private names of digests
// (Bucket.privateName): a copy of the store does not tell which manifests are in it.
//
// On disk: the keys and the metadata names never change their meaning.

/// One repository of a registry: blobs, upload sessions, manifests, tags and referrers.
///
/// Safe to share between tasks. Every call that changes something is durable on return.
public struct Repository: Sendable {
    let bucket: Bucket
    let configuration: RegistryConfiguration
    let locks: KeyedLock

    /// The repository's name.
    public var name: String { bucket.name }
    /// The id of the repository's bucket, which no other repository ever has.
    public var id: String { bucket.id }

    // MARK: Blobs

    /// Describes a blob, for a client that may be about to name it in a manifest.
    ///
    /// - Throws: `blobUnknown`.
    public func stat(_ digest: Digest) async throws(RegistryError) -> BlobDescription {
        do throws(StoreError) {
            guard case .leased(let duration) = configuration.blobLifetime else {
                return try await bucket.stat(digest)
            }
            return try await bucket.stat(digest, leasingFor: duration)
        } catch {
            throw RegistryError(store: error)
        }
    }

    /// Opens a blob for reading.
    ///
    /// - Throws: `blobUnknown`.
    public func openBlob(_ digest: Digest) async throws(RegistryError) -> Blob {
        do throws(StoreError) { return try await bucket.openBlob(digest) } catch {
            throw RegistryError(store: error)
        }
    }

    /// Deletes a blob.
    ///
    /// - Throws: `blobUnknown`, `blobReferenced`.
    public func deleteBlob(_ digest: Digest) async throws(RegistryError) {
        do throws(StoreError) { try await bucket.deleteBlob(digest) } catch {
            throw RegistryError(store: error)
        }
    }

    /// Makes a blob of another repository a blob of this one, without copying its bytes.
    ///
    /// - Returns: nil when there is no such blob or no such repository, or none that this one may
    ///   share chunks with, alike: the client then uploads the bytes.
    public func mountBlob(
        _ digest: Digest, from source: Repository?
    ) async throws(RegistryError) -> BlobDescription? {
        guard let source else { return nil }
        do throws(StoreError) {
            return try await bucket.mountBlob(
                digest, from: source.bucket, lifetime: configuration.blobLifetime)
        } catch {
            switch error.code {
            // A key that cannot be used is the other repository's, or else the upload tells.
            case .blobUnknown, .bucketUnknown, .domainMismatch, .keyDisabled, .keyUnknown,
                .keyUnavailable:
                return nil
            default: throw RegistryError(store: error)
            }
        }
    }

    // MARK: Upload sessions

    /// Starts an upload session.
    ///
    /// - Parameter algorithm: what the digest will be of that the client finishes with.
    public func beginUpload(
        algorithm: Digest.Algorithm = .sha256, expectedByteCount: UInt64? = nil
    ) async throws(RegistryError) -> UploadSession {
        do throws(StoreError) {
            return try await bucket.beginUpload(
                algorithm: algorithm, expectedByteCount: expectedByteCount)
        } catch {
            throw RegistryError(store: error)
        }
    }

    /// Resumes an upload session of this repository.
    ///
    /// - Throws: `uploadUnknown`, also for a session of another repository.
    public func resumeUpload(_ id: UploadID) async throws(RegistryError) -> UploadSession {
        do throws(StoreError) { return try await bucket.resumeUpload(id) } catch {
            throw RegistryError(store: error)
        }
    }
}
