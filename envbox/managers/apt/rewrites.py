"""Scripts that start several processes for every one of many files, and the same without them.

A rewritten script lies over the root's own one while a build runs, and only where that says, word for word, what is
rewritten here: what it does to the root stays the same to the byte, it only takes a tenth of the time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Rewrite(NamedTuple):
    """All `pieces` (before -> after) of the script at `path`, or none."""

    path: str
    pieces: tuple[tuple[str, str], ...]


_LINK_AND_GATHER = r"""# What `add` does, for all of them at once.
if [ -s "$ADDED.certificates" ]
then
  perl -e '
    my ($folder, $bundle, $added, $list) = @ARGV;
    open(my $wanted, "<", $list) or die; open(my $all, ">>", $bundle) or die; open(my $new, ">>", $added) or die;
    while (my $certificate = <$wanted>) {
      chomp $certificate;
      my ($name) = $certificate =~ m{([^/]*)\z};
      $name =~ s/(?<=.)\.crt\z//s; $name =~ s/[ ,]/_/g; $name =~ s/[()]/=/g;
      my $link = "$folder/$name.pem";
      if (!-e $link || (readlink($link) // "") ne $certificate) {
        symlink($certificate, $link) or system("ln", "-sf", $certificate, $link) == 0 or die;
        print $new "+$link\n" or die;
      }
      open(my $file, "<", $certificate) or die;
      my $text = do { local $/; <$file> } // "";
      $text .= "\n" if $text =~ /[^\n]\z/;
      print $all $text or die;
    }
    close($all) && close($new) or die;
  ' "$ETCCERTSDIR" "$TEMPBUNDLE" "$ADDED" "$ADDED.certificates"
fi

ADDED_CNT=$(wc -l < "$ADDED")
"""

_IS_LINE = """\
  {word} case "$CERTS_{name}" in "$crt"|"$crt
"*|*"
$crt"|*"
$crt
"*) ;; *) false ;; esac
   then
"""

_CERTIFICATES = "usr/sbin/update-ca-certificates"

REWRITES = (
    Rewrite(
        _CERTIFICATES,
        (
            (
                r"""add() {
  CERT="$1"
  PEM="$ETCCERTSDIR/$(basename "$CERT" .crt | sed -e 's/ /_/g' \
                                                  -e 's/[()]/=/g' \
                                                  -e 's/,/_/g').pem"
  if ! test -e "$PEM" || [ "$(readlink "$PEM")" != "$CERT" ]
  then
    ln -sf "$CERT" "$PEM"
    echo "+$PEM" >> "$ADDED"
  fi
  # Add trailing newline to certificate, if it is missing (#635570)
  sed -e '$a\' "$CERT" >> "$TEMPBUNDLE"
}
""",
                """add() {
  printf '%s\\n' "$1" >> "$ADDED.certificates"
}
""",
            ),
            ('ADDED_CNT=$(wc -l < "$ADDED")\n', _LINK_AND_GATHER),
            ('  rm -f "$ADDED"\n', '  rm -f "$ADDED" "$ADDED.certificates"\n'),
        ),
    ),
    Rewrite(
        _CERTIFICATES,
        (('find "$ETCCERTSDIR" -type l ! -exec test -e {} \\; -print', 'find "$ETCCERTSDIR" -xtype l -print'),),
    ),
    Rewrite(
        _CERTIFICATES,
        (("find $ETCCERTSDIR -type l ! -exec test -e {} \\; -print", "find $ETCCERTSDIR -xtype l -print"),),
    ),
    Rewrite(
        "var/lib/dpkg/info/ca-certificates.config",
        tuple(
            (
                f'   {word} (echo "$CERTS_{name}" | grep -F -q -x "$crt") > /dev/null 2>&1; then\n',
                _IS_LINE.format(word=f" {word}", name=name),
            )
            for word, name in (("if", "DISABLED"), ("elif", "TRUST"))
        ),
    ),
)


def rewritten(read: Callable[[str], str]) -> Iterator[tuple[str, str]]:
    """Path and new text of every script that there is something to rewrite in; `read` gives "" for none."""
    for path in dict.fromkeys(rewrite.path for rewrite in REWRITES):
        before = text = read(path)
        for rewrite in REWRITES:
            if rewrite.path == path and all(text.count(old) == 1 for old, _ in rewrite.pieces):
                for old, new in rewrite.pieces:
                    text = text.replace(old, new)
        if text != before:
            yield path, text
