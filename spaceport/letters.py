"""The letter that tells a job's owner how it ended. Pure: from the row to a MIME message.

Names and reasons are others' words: no line break of theirs reaches a header, and no HTML the page.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.message import EmailMessage
from email.policy import SMTP
from html import escape

from spaceport.job import JobRecord, Kind
from spaceport.stages import Status

PICTURE_ID = "model"  # of the part that the page shows
LARGEST_PICTURE = 300_000  # bytes; what is larger is left out: mailboxes are small, and phones load it
# C0 and C1, separators of lines, and what turns the direction of the text around it.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]+")
_LONGEST_NAME = 80  # characters: a subject that a phone shows whole
_ENDS: Mapping[Status, str] = {
    Status.COMPLETED: "Your 3D model is ready",
    Status.FAILED: "Your 3D model could not be made",
    Status.STOPPED: "Your job was stopped",
    Status.REJECTED: "Your photos can't be used",
}


@dataclass(frozen=True)
class Letter:
    """What a letter says: the same as text and as a page."""

    subject: str
    text: str
    html: str


def letter_about(row: JobRecord, *, has_picture: bool = False) -> Letter:
    """The letter about `row`, which has ended. `has_picture`: one comes with it, as PICTURE_ID."""
    said = _said_of(row)
    return Letter(f"{said.end}: {said.name}", _text(said), _page(said, has_picture))


def mime(letter: Letter, sender: str, to: str, picture: bytes | None = None) -> bytes:
    """The message to send. Raises ValueError where an address has a line break."""
    message = EmailMessage(policy=SMTP)
    message["Subject"] = letter.subject
    message["From"], message["To"] = sender, to
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no holiday reply answers it
    message.set_content(letter.text)
    message.add_alternative(letter.html, subtype="html")
    if picture is not None:
        page = message.get_payload()[1]  # type: ignore[index]
        page.add_related(picture, "image", "jpeg", cid=f"<{PICTURE_ID}>")  # type: ignore[union-attr]
    return message.as_bytes()


@dataclass(frozen=True)
class _Said:
    """What both forms tell, as plain lines."""

    end: str
    name: str
    why: list[str]
    facts: list[tuple[str, str]]
    notes: list[str]
    link: str | None
    job_id: str


def _said_of(row: JobRecord) -> _Said:
    why = [] if row.error is None else [row.error.message, row.error.hint]
    link = row.outputs.viewer_url if row.outputs and row.status is Status.COMPLETED else None
    return _Said(
        end=_ENDS[row.status] if row.kind is Kind.JOB else "Your batch has ended",
        name=_plain(row.job_name)[:_LONGEST_NAME].strip() or row.job_id,
        why=[_plain(part) for part in ([f"{row.message}."] if row.kind is Kind.BATCH else []) + why if part],
        facts=_facts(row),
        notes=[_plain(warning) for warning in row.warnings],
        link=link if link and link.startswith(("https://", "http://")) else None,
        job_id=row.job_id,
    )


def _facts(row: JobRecord) -> list[tuple[str, str]]:
    """The numbers that tell how good the model is, and what it took."""
    if row.status is not Status.COMPLETED or row.kind is Kind.BATCH:
        return []
    shown: Mapping[str, tuple[str, Callable[[float], str]]] = {
        "psnr_holdout": ("Likeness on held-out photos", "{:.1f} dB PSNR".format),
        "psnr_train": ("Likeness on the photos it learnt from", "{:.1f} dB PSNR".format),
        "rms_horizontal_m": ("Distance from GPS", "{:.2f} m".format),
        "gaussians": ("Size", "{:,.0f} Gaussians".format),
        "sog_bytes": ("File", lambda count: f"{count / 1e6:.2f} MB"),
    }
    facts = []
    if {"registered", "photos"} <= row.metrics.keys():
        facts.append(
            ("Photos in the model", f"{row.metrics['registered']:.0f} of {row.metrics['photos']:.0f}")
        )
    facts += [
        (label, form(row.metrics[name])) for name, (label, form) in shown.items() if name in row.metrics
    ]
    return facts


def _text(said: _Said) -> str:
    parts = [
        [f"{said.end}: {said.name}"],
        said.why,
        [f"Look at it: {said.link}"] if said.link else [],
        [f"{label}: {value}" for label, value in said.facts],
        [f"Note: {note}" for note in said.notes],
        [f"Job {said.job_id}"],
    ]
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"


def _page(said: _Said, has_picture: bool) -> str:
    """Inline styles and a table: mail programs know little else."""
    cell, wrap = "padding:6px 0;border-bottom:1px solid #e5e7eb", "overflow-wrap:anywhere"
    rows = "".join(
        f'<tr><td style="{cell};color:#4b5563">{escape(label)}</td>'
        f'<td style="{cell};text-align:right;white-space:nowrap">{escape(value)}</td></tr>'
        for label, value in said.facts
    )
    button = "display:inline-block;padding:12px 20px;background:#1d4ed8;color:#fff;border-radius:8px"
    parts = [
        f'<h1 style="margin:0 0 4px;font-size:22px">{escape(said.end)}</h1>',
        f'<p style="margin:0 0 16px;color:#4b5563;{wrap}">{escape(said.name)}</p>',
        f'<p style="margin:0 0 16px"><img src="cid:{PICTURE_ID}" alt="The model"'
        ' style="width:100%;border-radius:8px"></p>'
        if has_picture
        else "",
        *(f'<p style="margin:0 0 12px;{wrap}">{escape(line)}</p>' for line in said.why),
        f'<p style="margin:16px 0"><a href="{escape(said.link)}" style="{button};text-decoration:none">'
        "Open the model</a></p>"
        if said.link
        else "",
        f'<table style="width:100%;border-collapse:collapse;margin:16px 0">{rows}</table>' if rows else "",
        *(f'<p style="margin:0 0 8px;color:#92400e;{wrap}">{escape(note)}</p>' for note in said.notes),
        f'<p style="margin:16px 0 0;color:#6b7280;font-size:13px">Job {escape(said.job_id)}</p>',
    ]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width"><title>Spaceport</title></head>'
        '<body style="margin:0;background:#f3f4f6;color:#111827;'
        'font:16px/1.5 system-ui,-apple-system,Segoe UI,sans-serif">'
        '<div style="max-width:560px;margin:0 auto;padding:24px;background:#fff">'
        f"{''.join(parts)}</div></body></html>"
    )


def _plain(text: str) -> str:
    return " ".join(_CONTROL.sub(" ", text).split())
