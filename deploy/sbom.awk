# The SPDX 2.3 document that sbom.sh writes: awk -v name=... -v namespace=... -v created=...
# -f sbom.awk PROGRAMS INSTALLED BUILT_WITH, files with tabs between the columns. Of the first: name,
# version, SHA-256. Of the others: package, version, architecture, source package, its version, home page.

function quoted(text) {
  gsub(/["\\]/, "\\\\&", text)
  return "\"" text "\""
}

function member(key, value) { return quoted(key) ": " quoted(value) }

# Escapes, in a name or version for a package URL, characters that have a meaning there.
function url_part(text) {
  gsub(/%/, "%25", text)
  gsub(/\+/, "%2B", text)
  gsub(/:/, "%3A", text)
  return text
}

# An identifier may have letters, digits, `.` and `-`.
function id_of(text) {
  gsub(/\+/, "-plus", text)
  gsub(/[^A-Za-z0-9.-]/, "-", text)
  return "SPDXRef-" text
}

# `more` has further members of the JSON object.
function add_package(id, package, version, more) {
  packages = packages (packages == "" ? "" : ",") "\n    {" member("SPDXID", id) ", " \
    member("name", package) ", " member("versionInfo", version) ", " \
    member("downloadLocation", "NOASSERTION") ", \"filesAnalyzed\": false, " \
    member("licenseConcluded", "NOASSERTION") ", " member("licenseDeclared", "NOASSERTION") ", " \
    member("copyrightText", "NOASSERTION") ", " more "}"
}

function relate(from, type, to) {
  relationships = relationships (relationships == "" ? "" : ",") "\n    {" \
    member("spdxElementId", from) ", " member("relationshipType", type) ", " \
    member("relatedSpdxElement", to) "}"
}

# Writes the Debian package of the line, unless it was written before. Returns its identifier.
function debian_package(    id, url) {
  id = id_of($1 "-" $2 "-" $3)
  if (!(id in known)) {
    url = "pkg:deb/debian/" url_part($1) "@" url_part($2) "?arch=" $3 "&distro=debian-12"
    add_package(id, $1, $2, member("supplier", "Organization: Debian") ", " \
      member("sourceInfo", "source package " $4 " " $5) ", " \
      ($6 == "" ? "" : member("homepage", $6) ", ") \
      "\"externalRefs\": [{" member("referenceCategory", "PACKAGE-MANAGER") ", " \
      member("referenceType", "purl") ", " member("referenceLocator", url) "}]")
    known[id] = 1
  }
  return id
}

BEGIN {
  FS = "\t"
  image = "SPDXRef-image"
  relate("SPDXRef-DOCUMENT", "DESCRIBES", image)
}

FILENAME == ARGV[1] && FNR == 1 {
  add_package(image, name, $2, member("primaryPackagePurpose", "CONTAINER"))
  document_name = name "-" $2
}

FILENAME == ARGV[1] {
  program = id_of($1)
  add_package(program, $1, $2, member("primaryPackagePurpose", "APPLICATION") ", \"checksums\": [{" \
    member("algorithm", "SHA256") ", " member("checksumValue", $3) "}]")
  relate(image, "CONTAINS", program)
}

FILENAME == ARGV[2] { relate(image, "CONTAINS", debian_package()) }

FILENAME == ARGV[3] { relate(debian_package(), "BUILD_DEPENDENCY_OF", image) }

END {
  print "{"
  print "  " member("spdxVersion", "SPDX-2.3") ","
  print "  " member("dataLicense", "CC0-1.0") ","
  print "  " member("SPDXID", "SPDXRef-DOCUMENT") ","
  print "  " member("name", document_name) ","
  print "  " member("documentNamespace", namespace) ","
  print "  \"creationInfo\": {" member("created", created) ", \"creators\": [" quoted("Tool: sbom.sh") "]},"
  print "  \"packages\": [" packages "\n  ],"
  print "  \"relationships\": [" relationships "\n  ]"
  print "}"
}
