"""report.html: honest, complete, self-contained, and safe whatever photos and jobs are called."""

import base64
import hashlib
import re
from datetime import datetime, timedelta, timezone
from html.parser import HTMLParser
from types import UnionType
from typing import Union, get_args, get_origin

import numpy as np
import pytest
from pydantic import BaseModel

from spaceport.prices import Bill, free
from spaceport.quality import (
    Advice,
    Candidate,
    ControlNumbers,
    ControlPointNumbers,
    Lens,
    LevelsOfDetail,
    PhaseNumbers,
    PhotoWarning,
    QualityReport,
    RemovedGaussians,
    TrainingReport,
)
from spaceport.report_times import with_times
from spaceport_compressor.judging.fidelity import KEPT, judge, references_of
from spaceport_compressor.report_page.delivered import REMOVED, files, removed_words
from spaceport_compressor.report_page.numbers import MEANINGS, size
from spaceport_compressor.report_page.page import Material, write_report_page
from spaceport_compressor.report_page.pictures import (
    BUDGET,
    ERROR_COLORS,
    MOST_ERROR,
    compare,
    error_map,
)
from spaceport_compressor.report_page.plan_view import _Frame, _scale_bar, plan_view
from spaceport_compressor.report_page.survey import PHASES
from spaceport_compressor.report_page.training_curve import Entry, draw_curves, read_entries
from spaceport_compressor.report_page.verdict import figures, verdict
from spaceport_render.camera import Camera
from spaceport_render.render import render
from spaceport_render.scene import View
from spaceport_sfm.phases import Phase

QUALITY = {
    "photos": {
        "given": 7,
        "refused": [{"name": "<img src=x>.jpg", "code": "not_an_image", "reason": "is no <b>image</b>"}],
        "registered": 4,
        "unregistered": ["clouds & sky.jpg", "dark.jpg"],
    },
    "sfm": {"seconds": 9.5, "cpu_seconds": 18.0, "reprojection_px": 0.4, "points": 99, "mean_track": 3.5},
    "georef": {
        "rms_horizontal_m": 0.437,
        "rms_vertical_m": 0.393,
        "origin": {"lat": 46.842642, "lon": -91.993871, "alt": 153.1},
    },
    "training": {
        "seconds": 60.0, "iterations": 1500, "stopped_by": "plateau", "gaussians": 2000,
        "gaussians_initial": 99, "psnr_train": 25.0, "psnr_holdout": 17.4, "ssim_holdout": 0.42,
        "detail_holdout": 0.353, "psnr_holdout_initial": 7.6, "holdout": ["photo <1>.jpg"], "device": "cpu",
        "rasterizer": "numba", "preset": "preview", "peak_memory_bytes": 10**9,
    },
    "delivery": {
        "ply_bytes": 472_000, "sog_bytes": 25_000, "bytes_per_gaussian": 12.5, "decode_psnr_db": 44.3,
        "psnr_loss_db": -0.001, "gaussians": 2000,
    },
}  # fmt: skip
LOG = "".join(
    f'{{"iteration": {i}, "event": "step", "seconds": 1.0, "loss": 0.1, "psnr_running": {15 + i / 200},'
    f' "psnr_subset": {15 + i / 200 if i >= 1300 else "null"}, "gaussians": {1000 + i}, "scale":'
    f' {(0.25, 0.5, 0.75, 1.0)[min(3, (i - 1) // 375)]}, "sh_degree": 3}}\n'
    for i in range(100, 1501, 100)
)
CONTROL = {
    "used": ["1", "2", "4", "5"], "rms_horizontal_m": 0.012, "rms_vertical_m": 0.021, "check": ["<3>"],
    "check_rms_horizontal_m": 0.034, "check_rms_vertical_m": 0.055, "rejected": ["point 6 <img> is 4 m off"],
}  # fmt: skip
WITHOUT_HOLDOUT = dict.fromkeys(
    ("psnr_holdout", "ssim_holdout", "detail_holdout", "psnr_holdout_initial"), None
) | {"holdout": []}
ABSENT = '<td class="absent">not measured</td>'


def quality(georef=True, holdout=True):
    told = dict(QUALITY)
    if not georef:
        told["georef"] = None
    if not holdout:
        told["training"] = {**QUALITY["training"], **WITHOUT_HOLDOUT}
    return QualityReport.model_validate(told)


@pytest.fixture(scope="module")
def model(make_gaussians):
    return make_gaussians(2000)


@pytest.fixture(scope="module")
def views(model):
    """Four photos from above; photo k is k steps darker than the model, so photo 3 is the worst."""
    made = []
    for index in range(4):
        pose = np.diag([1.0, -1.0, -1.0, 1.0])
        pose[:3, 3] = -pose[:3, :3] @ (12.0 * index - 18, 5.0, 60.0)
        camera = Camera(f"photo <{index}>.jpg", 120, 80, 90.0, 90.0, 60.0, 40.0, pose)
        pixels = np.rint((render(model, camera).clip(0, 1) - 0.08 * index).clip(0, 1) * 255).astype(np.uint8)
        made.append(View(camera, pixels))
    return tuple(made)


@pytest.fixture
def write(model, views, tmp_path):
    """`write(quality, title)`: the page as text."""

    def make(told: QualityReport, title: str = "Brighton", log: str = LOG) -> str:
        (tmp_path / "training.log").write_text(log)
        judged = [view for view in views if view.camera.name in told.training.holdout] or views
        material = Material(
            title,
            datetime(2026, 11, 23, 18, 5, tzinfo=timezone(timedelta(hours=2))),
            told,
            model,
            cameras=[view.camera for view in views],
            views=views,
            judged=len(judged),
            worst=judge(model, references_of(model, judged)).worst,
            training_log=tmp_path / "training.log",
        )
        write_report_page(tmp_path / "report.html", material)
        return (tmp_path / "report.html").read_text(encoding="utf-8")

    return make


class Read(HTMLParser):
    """What a browser would take from the page: its text, its tags, and all that it would load."""

    def __init__(self, page):
        super().__init__()
        self.text, self.tags, self.loaded = "", set(), []
        self.feed(page)
        self.text = re.sub(r"\s+", " ", self.text)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.loaded += [value for name, value in attrs if name in {"src", "href", "srcset", "action", "data"}]

    def handle_data(self, data):
        self.text += data


def test_names_are_text_whatever_is_in_them(write):
    page = write(quality(), title='"><script>alert(1)</script>')
    read = Read(page)
    assert "script" not in read.tags
    assert "b" in read.tags  # our own
    for name in ('"><script>alert(1)</script>', "<img src=x>.jpg", "is no <b>image</b>", "photo <1>.jpg"):
        assert name in read.text
    assert "clouds & sky.jpg, dark.jpg" in read.text


def test_it_loads_nothing_and_its_policy_would_let_it_load_nothing(write):
    page = write(quality())
    assert {url.split(":")[0] for url in Read(page).loaded if not url.startswith("#")} == {"data"}
    # An address in the text is no request, but has no business here either.
    assert re.findall(r"https?://|url\((?!#)", page) == []
    # The policy names the style sheet by its hash: change one and not the other, and the page is bare.
    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL)[1]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'" in page
    assert "style=" not in page  # which that policy would refuse


def test_every_number_of_the_contract_is_told():
    def leaves(model: type[BaseModel], path=""):
        for name, field in model.model_fields.items():
            kinds = get_args(field.annotation) if get_origin(field.annotation) in {Union, UnionType} else ()
            kind = next((k for k in kinds or (field.annotation,) if k is not type(None)), None)
            if isinstance(kind, type) and get_origin(kind) is None and issubclass(kind, BaseModel):
                yield from leaves(kind, f"{path}{name}.")
            else:
                yield f"{path}{name}"

    elsewhere = {  # lists, and what only the end knows: each has a part of the page to itself
        "photos.refused", "photos.warned", "photos.unregistered", "sfm.other_models", "sfm.lenses",
        "sfm.phases", "georef.control.used", "georef.control.check", "georef.control.rejected",
        "georef.control.points", "advice", "training.holdout", "training.views", "training.incidents",
        "delivery.candidates", "delivery.lod.gaussians", "delivery.lod.chunks", "delivery.lod.files",
        "delivery.lod.bytes", "delivery.files", "pictures", "stages", "total_seconds",
    }  # fmt: skip
    told = {meaning.path for group in MEANINGS.values() for meaning in group}
    named = {path for path in leaves(QualityReport) if not path.startswith("delivery.removed.")}
    assert told == named - elsewhere
    assert set(RemovedGaussians.model_fields) <= set(REMOVED)


def test_a_measured_job_is_told_as_it_is(write):
    page = write(quality())
    text = Read(page).text
    assert "4 of 7 photos found their place (1 refused, 2 fitted nowhere)." in text
    assert "17.4 dB, 35 % of the photos’ detail" in text
    assert "fits its GPS to 0.44 m" in text
    assert "Training never saw this photo" in text
    assert "the PSNR no longer rose" in text
    assert ABSENT not in page
    assert "0.00 dB" in text
    assert "-0.00" not in text


def test_what_exposure_explains_and_the_speed_are_told_where_they_were_measured(write):
    told = quality()
    measured = {"psnr_holdout_corrected": 18.6, "ssim_train": 0.612, "fps": 113.4}
    newer = told.model_copy(update={"training": told.training.model_copy(update=measured)})

    assert "exposure forgiven" not in write(told)  # an older trainer's report
    page = write(newer)
    for words in ("exposure forgiven", "18.60 dB", "0.612", "113.4 pictures a second"):
        assert words in page


def test_what_went_wrong_in_training_and_was_mended_is_told(write):
    told = quality()
    incident = {"iteration": 1234, "what": "7 of 9 Gaussians were <lost>.", "done": "Removed them."}
    training = TrainingReport.model_validate({**told.training.model_dump(), "incidents": [incident]})

    assert "was mended" not in write(told)
    text = Read(write(told.model_copy(update={"training": training}))).text
    assert "Iteration 1,234: 7 of 9 Gaussians were <lost>. Removed them." in text


def test_without_holdout_it_says_so_and_how_to_measure(write):
    page = write(quality(holdout=False))
    text = Read(page).text
    assert "No photo was held out" in text
    assert "--set holdout=8" in text
    assert "flatters" in text
    assert page.count(ABSENT) == 4
    assert "None" not in text


def test_without_gps_there_is_no_sure_scale_and_no_north(write):
    page = write(quality(georef=False))
    text = Read(page).text
    assert "no sure scale and no north" in text
    assert page.count(ABSENT) == 5
    assert "No sure scale, no north" in text
    assert ">N</text>" not in page


def test_advice_is_on_the_first_page_and_plain(write):
    seen = {"code": "overlap", "message": "2 photos <fit> nowhere.", "hint": "Fly lines closer together."}
    page = write(quality().model_copy(update={"advice": [Advice(**seen)]}))
    assert "2 photos <fit> nowhere.Fly lines closer together." in Read(page).text
    assert page.index("<img") < page.index("Fly lines closer") < page.index("<main>")


def test_warned_photos_and_models_of_their_own_are_told(write):
    told = quality()
    warned = PhotoWarning(name="<soft>.jpg", code="blurred", reason="is blurred")
    photos = told.photos.model_copy(update={"warned": [warned]})
    sfm = told.sfm.model_copy(update={"other_models": [7, 3], "dense_seeds": 1234})
    text = Read(write(told.model_copy(update={"photos": photos, "sfm": sfm}))).text
    assert "<soft>.jpgis blurred" in text
    assert "7 and 3 photos fit each other" in text
    assert "1,234" in text


def test_lenses_tell_how_sure_their_focal_length_is(write):
    told = quality()
    lenses = [
        Lens(camera="DJI <FC330>", photos=3, focal_px=1010.0, focal_prior_px=1000.0, focal_sigma_px=1.0),
        Lens(camera="", photos=1, focal_px=990.0, focal_prior_px=1000.0, focal_sigma_px=9.9),
        Lens(camera="old", photos=2, focal_px=500.0, focal_sigma_px=25.0),
        Lens(camera="odd", photos=2, focal_px=500.0),
        Lens(camera="exact", photos=2, focal_px=1000.4, focal_prior_px=1000.0),
    ]
    text = Read(write(told.model_copy(update={"sfm": told.sfm.model_copy(update={"lenses": lenses})}))).text
    assert "DJI <FC330>, 3 photos" in text
    assert "Known to ±1.0 px (0.099 %): heights can be trusted. EXIF makes it 1,000 px, 1.0 % less." in text
    assert "Unnamed camera, 1 photo" in text
    assert "uncertain by that share too, 1 cm in each metre. EXIF makes it 1,000 px, 1.0 % more." in text
    assert "5 cm in each metre. Some oblique photos would settle it. The photos’ EXIF says nothing" in text
    assert "How sure that is could not be told." in text
    assert "EXIF makes it 1,000 px." in text, "0.0 % less is no difference"


@pytest.mark.parametrize("checked", [True, False])
def test_ground_control_tells_what_it_was_checked_with(write, checked):
    unchecked = {"check": [], "check_rms_horizontal_m": None, "check_rms_vertical_m": None}
    control = ControlNumbers.model_validate(CONTROL | ({} if checked else unchecked))
    told = quality()
    georef = told.georef.model_copy(update={"source": "ground_control", "control": control})
    page = write(told.model_copy(update={"georef": georef}))
    text = Read(page).text
    assert "4 points (1, 2, 4, 5), and misses them by 0.01 m level, 0.02 m up." in text
    assert ("1 point (<3>) did not take part; there it is off by 0.03 m level, 0.06 m up." in text) == checked
    assert ("how exact it is elsewhere nobody measured" in text) != checked
    assert "point 6 <img> is 4 m off" in text
    assert "rests on 4 ground control points" in text
    assert ABSENT not in page


def test_points_left_out_one_by_one_stand_in_for_check_points(write):
    unchecked = {"check": [], "check_rms_horizontal_m": None, "check_rms_vertical_m": None}
    left_out = {"left_out_rms_horizontal_m": 0.07, "left_out_rms_vertical_m": 0.11}
    control = ControlNumbers.model_validate(CONTROL | unchecked | left_out)
    told = quality()
    georef = told.georef.model_copy(update={"source": "ground_control", "control": control})
    text = Read(write(told.model_copy(update={"georef": georef}))).text
    assert "all but one of them, it is off at that one by 0.07 m level, 0.11 m up" in text
    assert "about its accuracy" in text


def test_every_step_of_sfm_has_a_name():
    assert set(PHASES) == {phase.value for phase in Phase}


def test_steps_of_the_poses_have_their_times(write):
    told = quality()
    phases = [PhaseNumbers(name="matching", seconds=7.5, cpu_seconds=15.0)]
    text = Read(write(told.model_copy(update={"sfm": told.sfm.model_copy(update={"phases": phases})}))).text
    assert re.search(r"Matching photos ?7\.5 s ?15 s", text)


def test_what_a_job_does_not_have_is_not_told_of(write):
    page = write(quality())
    text = Read(page).text
    for words in (
        "For a better model",
        "Focal length",
        "Ground control",
        "step by step",
        "of their own",
        "stereo",
    ):
        assert words not in text
    assert "with a warning" not in text


def test_when_it_was_made_is_told(write):
    assert "quality report of 2026-11-23, 16:05 UTC" in Read(write(quality())).text


def test_the_times_are_put_in_later(write):
    page = write(quality())
    assert "Not measured: the job had not ended" in page
    stages = {"sfm": 37.0, "3dgs": 38.0, "compression": 4.0}
    timed = with_times(page, stages, 82.0, free(stages))
    assert "Not measured: the job had not ended" not in timed
    assert "1 min 22 s" in Read(timed).text


def test_a_log_that_tells_nothing_costs_only_the_curve(write):
    text = Read(write(quality(), log='{"iteration": 1500}\nnot json\n[]\n{"event": "step"}\n')).text
    assert "there is no curve" in text
    assert "Every number" in text


def test_steps_that_can_t_be_drawn_are_left_out(tmp_path):
    log = tmp_path / "training.log"
    for field, value in (("psnr_running", "NaN"), ("psnr_subset", "Infinity"), ("iteration", "1e999")):
        step = {"event": '"step"', "iteration": 1, "psnr_running": 20, "psnr_subset": 20, "gaussians": 9}
        told = ", ".join(f'"{name}": {of}' for name, of in ({**step, "scale": 1} | {field: value}).items())
        log.write_bytes(LOG.encode() + f"{{{told}}}\n".encode() + b'{"event": "\xff"}\n')
        assert len(read_entries(log)) == 15
        assert len(draw_curves(read_entries(log))) == 2


@pytest.mark.parametrize(
    ("count", "told"), [(999, "999 bytes"), (999_400, "999 kB"), (999_600, "1 MB"), (2.5e12, "2.5e+03 GB")]
)
def test_sizes_have_the_unit_that_suits_them(count, told):
    assert size(count) == told


@pytest.mark.parametrize("width", [0.4, 3.999, np.nextafter(4000.0, 0), 4000.0, 19_999.0])
def test_any_width_of_a_map_has_a_scale_bar(width):
    bar = _scale_bar(_Frame(0.0, 0.0, width, width, 900 / width))
    assert 90 <= bar.pixels <= 225


def test_the_verdict_is_on_what_is_delivered():
    told = quality()
    lossy = told.model_copy(update={"delivery": told.delivery.model_copy(update={"psnr_loss_db": 0.5})})
    assert "17.4 dB" in verdict(told)
    assert "16.9 dB" in verdict(lossy)
    assert figures(lossy)[1].value == "16.9"


def test_the_worst_photo_comes_first(model, views):
    worst = judge(model, references_of(model, views)).worst
    assert [one.name for one in worst] == [f"photo <{i}>.jpg" for i in (3, 2, 1, 0)]
    assert worst[0].psnr_db == pytest.approx(-20 * np.log10(0.24), abs=1.0)
    assert worst[-1].psnr_db > 50
    assert compare(worst)[-1].ssim > 0.99


def test_many_large_photos_are_embedded_small_enough(views, model):
    # Given six photos of noise, the hardest there is to pack
    rng = np.random.default_rng(0)
    camera = views[0].camera.resized(750, 500)
    noisy = [View(camera, rng.integers(0, 120, (500, 750, 3), dtype=np.uint8)) for _ in range(7)]
    # When they are compared
    shown = compare(judge(model, references_of(model, noisy)).worst)
    # Then as many are shown as are kept, smaller than they are
    assert len(shown) == KEPT
    assert {one.photo.width for one in shown} == {480}
    # And photos that fit keep their own
    own = compare(judge(model, references_of(model, views)).worst)
    assert {(one.photo.width, one.photo.height) for one in own} == {(120, 80)}
    assert sum(len(p.uri) for one in own for p in (one.photo, one.render, one.error)) < BUDGET


def test_the_error_map_tells_how_far_off_a_pixel_is():
    photo = np.zeros((2, 2, 3), np.uint8)
    picture = photo.copy()
    picture[0, 1] = round(MOST_ERROR * 255)
    picture[1, 0] = 255
    colors = error_map(picture, photo)
    assert (colors[0, 0] == ERROR_COLORS[0]).all()
    assert (colors[0, 1] == ERROR_COLORS[-1]).all()
    assert (colors[1, 0] == ERROR_COLORS[-1]).all()


def test_the_plan_has_north_up_and_tells_what_is_a_guess(model, views):
    cameras = [view.camera for view in views]
    plan = plan_view(model, cameras, {"photo <3>.jpg"}, metric=True)
    # The flight goes east along a line
    assert [station.x for station in plan.stations] == sorted(station.x for station in plan.stations)
    assert len({round(station.y, 6) for station in plan.stations}) == 1
    assert [station.held_out for station in plan.stations] == [False, False, False, True]
    assert {station.heading for station in plan.stations} == {None}  # straight down
    # 12 m apart on the ground is as many pixels as the scale bar says
    step = plan.stations[1].x - plan.stations[0].x
    assert step / plan.scale.pixels == pytest.approx(12 / plan.scale.metres)
    assert plan.scale.pixels <= plan.picture.width / 4
    # Three photos of 80 m × 53 m each, 12 m apart, of a land of 120 m × 120 m
    assert plan.guessed_share == pytest.approx(1 - 104 * 53.3 / 120**2, abs=0.06)


def test_a_plan_without_metres_has_no_scale(model, views):
    assert plan_view(model, [views[0].camera], set(), metric=False).scale is None


def test_an_oblique_photo_shows_which_way_it_looks(model):
    # Given a camera that looks north and 45° down
    s = np.sqrt(0.5)
    pose = np.eye(4)
    pose[:3, :3] = [[1, 0, 0], [0, -s, -s], [0, s, -s]]
    pose[:3, 3] = -pose[:3, :3] @ (0, -60.0, 60.0)
    camera = Camera("oblique.jpg", 120, 80, 90.0, 90.0, 60.0, 40.0, pose)
    # Then its mark points up on the map
    (station,) = plan_view(model, [camera], set(), metric=True).stations
    assert station.heading == pytest.approx((0, -1))


def test_the_curve_shows_phases_and_what_was_tested(tmp_path):
    (tmp_path / "training.log").write_text(LOG + '{"iteration": 1500, "event": "end"}\nhalf a li')
    entries = read_entries(tmp_path / "training.log")
    assert entries[0] == Entry(100, 15.5, None, 1100, 0.25)
    quality_chart, count_chart = draw_curves(entries)
    assert [phase.label for phase in quality_chart.phases] == ["25 %", "50 %", "75 %", "full size"]
    assert len(quality_chart.dots) == 3
    # Up is more: the line of the Gaussians rises to the right
    ys = [float(point.split(",")[1]) for point in count_chart.lines[0].points.split()]
    assert ys == sorted(ys, reverse=True)
    assert draw_curves(entries[:1]) == []


def test_a_flat_curve_can_be_drawn():
    flat = [Entry(i, 20.0, 20.0, 5000, 1.0) for i in (100, 200)]
    assert len(draw_curves(flat)) == 2


@pytest.mark.parametrize(
    ("psnr", "looks"),
    [
        (27.0, "hardly differs"),
        (22.0, "looks like the photos"),
        (18.0, "soft"),
        (15.0, "believable blur"),
        (-1.0, "does not show what is there"),
    ],
)
def test_the_verdict_does_not_flatter(psnr, looks):
    told = quality()
    training = told.training.model_copy(update={"psnr_holdout": psnr, "detail_holdout": 0.9})
    assert looks in verdict(told.model_copy(update={"training": training}))


def test_a_model_unlike_its_own_photos_is_called_unusable():
    told = quality()
    training = told.training.model_copy(update={"psnr_holdout": None, "psnr_train": 10.5})
    assert "no usable model" in verdict(told.model_copy(update={"training": training}))


class TestWhatIsDelivered:
    def delivered(self, **more):
        told = quality()
        return told.model_copy(update={"delivery": told.delivery.model_copy(update=more)})

    def test_an_older_report_tells_of_the_file_for_the_web_alone(self, write):
        page = write(quality())
        assert "What you get" in page
        assert "19 times smaller" in page  # 472 kB to 25 kB
        for absent in ("Why this file", "Cleaned away", "levels of detail", "model.glb"):
            assert absent not in page

    def test_a_folder_is_named_for_all_that_lies_in_it(self):
        told = self.delivered(files={"model.ply": 472_000, "tiles/tileset.json": 100_000})
        assert [(file.name, file.size, file.smaller) for file in files(told.delivery)] == [
            ("model.sog", "25 kB", "19 times smaller"),
            ("model.ply", "472 kB", "as large"),
            ("tiles/", "100 kB", "4.7 times smaller"),
        ]
        assert all(file.told for file in files(told.delivery))

    def test_what_was_tried_is_told_with_what_was_chosen(self, write):
        tried = {"sog_bytes": 1, "gaussians": 2000, "harmonics": 3, "decode_psnr_db": 44.3}
        page = write(
            self.delivered(
                candidates=[
                    Candidate(name="coarse <b>", psnr_loss_db=0.31, good_enough=False, **tried),
                    Candidate(name="fine", psnr_loss_db=-0.001, good_enough=True, chosen=True, **tried),
                    Candidate(name="finer", psnr_loss_db=None, good_enough=True, **tried),
                ]
            )
        )
        text = Read(page).text
        assert "coarse <b>" in text
        for told in ("loses too much", "delivered", "good enough, but larger", "0.31 dB", "0.00 dB", "–"):
            assert told in text
        assert page.count('<tr class="total">') == 1
        assert "Delivered is the smallest that keeps 44 dB" in text

    def test_that_nothing_was_good_enough_is_told(self, write):
        tried = {"sog_bytes": 1, "gaussians": 2000, "harmonics": 3, "decode_psnr_db": 44.3}
        finest = Candidate(name="step 14 of 14", psnr_loss_db=0.31, good_enough=False, chosen=True, **tried)
        text = Read(write(self.delivered(candidates=[finest]))).text
        assert "loses at most 0.1 dB on the photos: delivered is the most faithful" in text
        assert "Delivered is the smallest" not in text

    def test_what_was_cleaned_away_is_told_the_most_first(self):
        removed = RemovedGaussians(above=5, outside=1200)
        assert removed_words(removed) == (
            "Cleaned away before: 1,205 Gaussians (1,200 beyond the flown area, 5 hanging in the air)."
        )
        assert removed_words(RemovedGaussians()) == removed_words(None) == ""

    def test_levels_of_detail_are_told(self, write):
        lod = LevelsOfDetail(gaussians=[2000, 1000], chunks=4, files=5, bytes=50_000)
        text = Read(write(self.delivered(lod=lod))).text
        assert "In 2 levels of detail (2,000, 1,000 Gaussians), 4 chunks" in text
        assert "lod/ 50 kB 9.4 times smaller" in re.sub(r"(kB|lod/)", r"\1 ", text).replace("  ", " ")


def test_control_points_are_told_one_by_one_whatever_they_are_called(write):
    point = {"lat": 46.8, "lon": -91.9, "place": (1.0, 2.0, 3.0), "off": (0.03, 0.04, -0.02)}
    points = [
        ControlPointNumbers(name="<script>1", role="used", alt=150.0, **point),
        ControlPointNumbers(name="2", role="check", alt=None, **point),
    ]
    told = quality()
    control = ControlNumbers(**CONTROL, points=points)
    told = told.model_copy(update={"georef": told.georef.model_copy(update={"control": control})})

    read = Read(write(told))

    assert "script" not in read.tags
    for words in ("<script>1", "holds the model", "0.050 m", "-0.020 m", "only checks it", "not measured"):
        assert words in read.text


def test_no_text_from_outside_becomes_markup(write):
    # Given a report with hostile text in every place that takes any
    hostile = "</script><script>alert('&')</script>"
    point = {
        "lat": 46.8,
        "lon": -91.9,
        "alt": 1.0,
        "place": (1, 2, 3),
        "off": (0.1, 0.2, 0.3),
        "name": "",
        "role": "used",
    }
    phase = {"name": "", "seconds": 1.0, "cpu_seconds": 1.0}
    lens = {"camera": "", "photos": 2, "focal_px": 900.0}
    candidate = {
        "name": "",
        "sog_bytes": 1,
        "gaussians": 1,
        "harmonics": 3,
        "decode_psnr_db": 41.0,
        "psnr_loss_db": 0.0,
        "good_enough": True,
    }
    told = {
        **QUALITY,
        "photos": {**QUALITY["photos"], "warned": [{"name": "", "code": "", "reason": ""}]},
        "sfm": {**QUALITY["sfm"], "lenses": [lens], "phases": [phase]},
        "georef": {**QUALITY["georef"], "control": {**CONTROL, "points": [point]}},
        "training": {**QUALITY["training"], "incidents": [{"iteration": 1, "what": "", "done": ""}]},
        "delivery": {**QUALITY["delivery"], "candidates": [candidate], "files": {hostile: 5}},
        "advice": [{"code": "", "message": "", "hint": ""}],
    }  # fmt: skip

    def spoilt(part, name=""):
        if isinstance(part, dict):
            return {key: spoilt(value, key) for key, value in part.items()}
        if isinstance(part, list):
            return [spoilt(each, name) for each in part]
        return hostile if isinstance(part, str) and name != "role" else part

    # When its page is drawn
    page = write(QualityReport.model_validate(spoilt(told)), title=hostile)
    # Then all of it is text
    read = Read(page)
    assert "script" not in read.tags
    assert read.text.count(hostile) > 20
    # and so is what is filled in later
    stages = {"sfm": 1.0}
    timed = with_times(page, stages, 1.0, Bill({"sfm": None}, {"sfm": hostile}))
    assert "script" not in Read(timed).tags
