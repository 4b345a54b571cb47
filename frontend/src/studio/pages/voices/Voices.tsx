import { keepPreviousData, useQuery, useQueryClient } from "@tanstack/react-query";
import { AudioLines, Trash2 } from "lucide-react";
import { Link } from "react-router";
import { buttonClass, FilterField, IconButton, SearchField } from "@/shared/controls";
import { Badge, Card, Empty, Failure, Grid, Loading, PageHeader, Pages, Spoken } from "@/shared/layout";
import { Ago } from "@/shared/time";
import { useClearUrl, usePageNumber, useSettled, useUrlState } from "@/shared/urlState";
import { voices as words } from "@/strings/voices";
import { answered, api, type Schemas } from "../../api/client";
import { keys } from "../../api/queries";
import { useDeleting } from "../../deleting";
import { paths } from "../../paths";
import { previewLink } from "../../player/links";
import { PlayButton } from "../../player/PlayButton";
import styles from "./Voices.module.css";

const PER_PAGE = 24;
type Source = "" | "uploaded" | "designed";

export default function Voices() {
  const [search, setSearch] = useUrlState("search");
  const [source, setSource] = useUrlState("source");
  const [page, setPage] = usePageNumber();
  const asked = { search: useSettled(search).trim(), source: source as Source, page };
  const { data, error, isPending, refetch } = useQuery({
    queryKey: [...keys.voices, asked],
    queryFn: () =>
      answered(
        api.GET("/api/voices", {
          params: {
            query: {
              page: asked.page,
              per_page: PER_PAGE,
              ...(asked.search && { search: asked.search }),
              ...(asked.source && { source: asked.source }),
            },
          },
        }),
      ),
    placeholderData: keepPreviousData,
    // Which provider serves may change at any moment, and with it which voices can be spoken.
    refetchInterval: 15_000,
  });
  const { gone } = useDeleting();
  const shown = data?.voices.filter((voice) => !gone.has(voice.id)) ?? [];
  const filtered = asked.search !== "" || asked.source !== "";
  const clear = useClearUrl();

  return (
    <>
      <PageHeader title={words.title} about={words.about}>
        <Link className={buttonClass()} to={paths.design}>
          {words.design}
        </Link>
        <Link className={buttonClass("primary")} to={paths.clone}>
          {words.clone}
        </Link>
      </PageHeader>
      <div className={styles.filters}>
        <SearchField label={words.search} value={search} onChange={setSearch} />
        <FilterField label={words.source} value={source} onChange={(event) => setSource(event.target.value)}>
          {Object.entries(words.sources).map(([value, label]) => (
            <option key={value} value={value}>
              {label}
            </option>
          ))}
        </FilterField>
      </div>
      {error && <Failure error={error} onRetry={() => void refetch()} />}
      {isPending && <Loading rows={3} height="9rem" />}
      {data && shown.length === 0 && (filtered ? <NothingFound onAll={clear} /> : <NoVoice />)}
      {data && <Spoken>{words.count(data.pagination.total)}</Spoken>}
      <Grid column="21rem">
        {shown.map((voice) => (
          <VoiceCard key={voice.id} voice={voice} />
        ))}
      </Grid>
      {data && <Pages page={page} pages={data.pagination.pages} onPage={setPage} />}
    </>
  );
}

function VoiceCard({ voice }: { voice: Schemas["Voice"] }) {
  const { remove } = useDeleting();
  const queries = useQueryClient();
  const standing = voice.speaks.length === 0 ? words.speaksNowhere : words.carryOver[voice.carry_over];
  const erase = () =>
    remove({
      id: voice.id,
      url: `/api/voices/${voice.id}`,
      said: words.deleted(voice.name),
      done: () => void queries.invalidateQueries({ queryKey: keys.voices }),
    });
  return (
    <Card className={styles.card}>
      <div className={styles.head}>
        {voice.has_preview && (
          <PlayButton
            track={{ key: `voice:${voice.id}`, title: voice.name, about: kind(voice) }}
            link={() => previewLink(voice.id)}
            label={words.play(voice.name)}
            pauseLabel={words.pause(voice.name)}
          />
        )}
        <div className={styles.name}>
          <h2>{voice.name}</h2>
          <p className={styles.facts}>
            {voice.language} · <Ago at={voice.created_at} />
          </p>
        </div>
        <Badge tone={voice.source === "designed" ? "blind" : "info"}>{kind(voice)}</Badge>
      </div>
      <div>
        {voice.description && <p className={styles.description}>{voice.description}</p>}
        {voice.guidance && <p className={styles.guidance}>{voice.guidance}</p>}
        {voice.degraded && <p className={styles.guidance}>{words.degraded}</p>}
        {!voice.has_preview && <p className={styles.facts}>{words.noPreview}</p>}
        {standing && <p className={styles.facts}>{standing}</p>}
      </div>
      <div className={styles.foot}>
        <Link
          className={buttonClass("plain", true)}
          to={`${paths.generate}?voice_id=${voice.id}`}
          aria-label={words.speakWith(voice.name)}
        >
          <AudioLines size={16} aria-hidden="true" />
          {words.speak}
        </Link>
        <IconButton small label={words.delete(voice.name)} onClick={erase}>
          <Trash2 size={16} aria-hidden="true" />
        </IconButton>
      </div>
    </Card>
  );
}

function kind(voice: Schemas["Voice"]): string {
  return voice.source === "designed" ? words.sources.designed : words.sources.uploaded;
}

function NoVoice() {
  return (
    <Empty
      title={words.none}
      action={
        <Link className={buttonClass("primary")} to={paths.clone}>
          {words.clone}
        </Link>
      }
    >
      {words.noneHelp}
    </Empty>
  );
}

function NothingFound({ onAll }: { onAll: () => void }) {
  return (
    <Empty
      title={words.noneFound}
      action={
        <button type="button" className={buttonClass()} onClick={onAll}>
          {words.showAll}
        </button>
      }
    >
      {words.noneFoundHelp}
    </Empty>
  );
}
