// Part of Cairn, a content-addressed blob store.

public import Cairn
internal import CairnCore

/// How ``BucketConformance`` gets at the implementation it tests.
public protocol BucketUnderTest: Sendable {
    /// The implementation.
    associatedtype Bucket: ObjectBucket
    /// Makes a new, empty bucket.
    func makeBucket() async throws -> Bucket
}

/// Checks that a bucket keeps the promises of `ObjectBucket`.
///
/// ```swift
/// @Test(arguments: BucketConformance.allCases)
/// func `the bucket conforms`(_ check: BucketConformance) async throws {
///     try await check.run(on: MyBucketUnderTest())
/// }
/// ```
public enum BucketConformance: String, CaseIterable, Sendable {
    /// What was written is read, described and listed.
    case keepsWhatIsWritten
    /// A tag stands for the body, the attributes and the references, and not for the tags.
    case tagsChangeWithWhatTheyStandFor
    /// Of many writes at once with if-none-match exactly one takes place.
    case createsOnce
    /// Conditions on writes and deletions are those of RFC 9110 13.1.
    case decidesConditionsOfWrites
    /// Conditions on reads are those of RFC 9110 13.1.
    case decidesConditionsOfReads
    /// Lists are in the order of the bytes of the keys, page by page without a gap.
    case listsInByteOrder
    /// Common prefixes are those of S3, and count as entries of a page.
    case groupsByDelimiter
    /// Copies and renames carry over what the object is.
    case copiesAndRenames
    /// A blob that an object refers to stays; the body of a deleted object goes.
    case keepsWhatIsReferredTo
    /// A batch takes place as a whole or not at all, and names what failed.
    case commitsBatchesWhole
    /// Operations of a batch see those before them.
    case commitsBatchesInOrder
    /// Keys, attributes, pages and batches out of bounds are refused, and nothing changes.
    case refusesWhatIsOutOfBounds
    /// Ranges of a body are what RFC 9110 14.1.2 makes of them.
    case readsParts
    /// Blobs are found by their digest, and only with the bytes that it says.
    case keepsBlobsByDigest

    /// Why a bucket does not conform.
    public struct Failure: Error, CustomStringConvertible {
        /// The promise that was broken.
        public let check: BucketConformance
        /// What was expected and what happened.
        public let reason: String

        /// The promise and the reason.
        public var description: String { "\(check.rawValue): \(reason)" }
    }

    /// Checks one promise on a new bucket.
    ///
    /// - Throws: ``Failure``, or the error of a call that should have worked.
    public func run(on subject: some BucketUnderTest) async throws {
        let bucket = try await subject.makeBucket()
        switch self {
        case .keepsWhatIsWritten: try await checkWriting(bucket)
        case .tagsChangeWithWhatTheyStandFor: try await checkETags(bucket)
        case .createsOnce: try await checkCreation(bucket)
        case .decidesConditionsOfWrites: try await checkWriteConditions(bucket)
        case .decidesConditionsOfReads: try await checkReadConditions(bucket)
        case .listsInByteOrder: try await checkLists(bucket)
        case .groupsByDelimiter: try await checkDelimiters(bucket)
        case .copiesAndRenames: try await checkCopies(bucket)
        case .keepsWhatIsReferredTo: try await checkReferences(bucket)
        case .commitsBatchesWhole: try await checkBatchAtomicity(bucket)
        case .commitsBatchesInOrder: try await checkBatchOrder(bucket)
        case .refusesWhatIsOutOfBounds: try await checkBounds(bucket)
        case .readsParts: try await checkParts(bucket)
        case .keepsBlobsByDigest: try await checkBlobs(bucket)
        }
    }

    // MARK: - Shared by the checks

    func expect(_ isTrue: Bool, _ reason: @autoclosure () -> String) throws {
        guard isTrue else { throw Failure(check: self, reason: reason()) }
    }

    func expect<T: Equatable>(_ actual: T, _ expected: T, _ what: String) throws {
        try expect(actual == expected, "\(what): expected \(expected), found \(actual)")
    }

    /// Throws unless the body throws an error with this code.
    func expect(
        _ code: StoreError.Code, _ what: String, _ body: () async throws -> Void
    ) async throws {
        do {
            try await body()
        } catch let error as StoreError where error.code == code {
            return
        } catch {
            throw Failure(check: self, reason: "\(what): expected \(code), caught \(error)")
        }
        throw Failure(check: self, reason: "\(what): expected \(code), nothing was thrown")
    }

    func contents(_ bucket: some ObjectBucket, _ key: String) async throws -> [UInt8] {
        let (_, body) = try await bucket.openObject(key)
        return try await body.readAll(upTo: 1 << 24)
    }

    func put(
        _ bucket: some ObjectBucket, _ key: String, _ bytes: [UInt8] = [1],
        _ attributes: ObjectAttributes = ObjectAttributes(),
        if condition: WriteCondition = .none
    ) async throws -> ObjectDescription {
        try await bucket.putObject(key, bytes.span, attributes: attributes, if: condition)
    }

    func keys(_ bucket: some ObjectBucket) async throws -> [String] {
        try await bucket.objects().objects.map(\.key)
    }
}
